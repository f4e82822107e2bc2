"""Marked secrets, and where a text contains one of them."""

import base64
import html
import json
from collections.abc import Iterator
from urllib.parse import quote

SECRETS = {
    "slack hook": "MARKEDslackHook/x+y=1",
    "slack bot": "xoxb-MARKED-slack-bot",
    "discord hook": "MARKEDdiscordHook_1",
    "teams hook": "MARKEDteamsHook",
    "webhook path": "MARKEDwebhookPath",
    "webhook user": "MARKEDurlPassword",
    "webhook query": "MARKEDwebhookQuery",
    "header": 'MARKED"header"&value',
    "signing": "whsec_" + base64.b64encode(b"MARKED signing secret, 32 bytes..").decode(),
    "signing before": "whsec_" + base64.b64encode(b"MARKED earlier secret, 32 bytes..").decode(),
    "telegram": "123456:MARKEDtelegramBotToken_of-35-chars",
    "pagerduty": "MARKED0pagerduty0routing0key0032",
    "twilio": "MARKEDtwilioAuthToken0123456789a",
    "smtp": "MARKED smtp pässword",
    "apprise": "MARKEDappriseToken",
    "admin key": "MARKED-admin-key-0123456789",
    "webhook token": "MARKED-webhook-token-0123456789",
    "database": "MARKEDdatabasePassword",
}


def forms(secret: str) -> Iterator[str]:
    """A secret as it may be written in a log, a response or a header."""
    yield from (
        secret,
        quote(secret),
        quote(secret, safe=""),
        html.escape(secret),
        json.dumps(secret)[1:-1],
        repr(secret)[1:-1],
    )
    yield base64.b64encode(secret.encode()).decode()
    for user in ("AC" + "0" * 32, "relay", "user"):
        yield base64.b64encode(f"{user}:{secret}".encode()).decode()


def found_in(text: str) -> set[str]:
    return {name for name, secret in SECRETS.items() for form in forms(secret) if form in text}
