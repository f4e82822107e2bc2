"""Signatures that the library of Standard Webhooks verifies, and the identification of retries."""

import base64
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from aiohttp import web
from standardwebhooks import Webhook, WebhookVerificationError

from relay.domain.channel_types import WebhookChannel
from relay.domain.channels import MASK, mask_secrets, merge_patch, parse_channel
from relay.domain.errors import InvalidInput
from relay.domain.outcomes import Sent
from relay.notify.registry import NOTIFIERS, check_channel
from relay.notify.requests import Request
from relay.notify.signing import new_signing_secret
from relay.notify.transport.egress_policy import EgressPolicy
from tests.fixtures.sink import Sink
from tests.notify.factories import alert, channel, digest, notification
from tests.notify.sending import send

SECRET = "whsec_" + base64.b64encode(bytes(range(200, 232))).decode()
OTHER_SECRET = "whsec_" + base64.b64encode(b"x" * 24).decode()
SIGNING_HEADERS = ("webhook-id", "webhook-timestamp", "webhook-signature")


def rejection(**settings: Any) -> InvalidInput:
    with pytest.raises(InvalidInput) as caught:
        check_channel(channel(WebhookChannel, **settings), EgressPolicy(()))
    return caught.value


@pytest.mark.parametrize("message", [notification(alert(annotations={"summary": "Übel 🔥"})), digest()])
@pytest.mark.parametrize("template", [None, '{"{{ status }}": "ü"}'])
async def test_the_library_verifies_a_signed_request(message: Any, template: str | None, sink: Sink) -> None:
    await send(WebhookChannel, sink.url, message, signing_secret=SECRET, custom_payload_template=template)
    received = sink.received[0]
    Webhook(SECRET).verify(received.body, received.headers)
    sent_at = datetime.fromtimestamp(int(received.headers["webhook-timestamp"]), UTC)
    assert abs(datetime.now(UTC) - sent_at) < timedelta(minutes=5)


async def test_a_changed_request_fails_verification(sink: Sink) -> None:
    await send(WebhookChannel, sink.url, signing_secret=SECRET)
    received = sink.received[0]
    for secret, body in ((SECRET, received.body + b" "), (OTHER_SECRET, received.body)):
        with pytest.raises(WebhookVerificationError):
            Webhook(secret).verify(body, received.headers)


async def test_both_secrets_verify_during_a_rotation(sink: Sink) -> None:
    await send(WebhookChannel, sink.url, signing_secret=SECRET, signing_secret_previous=OTHER_SECRET)
    received = sink.received[0]
    assert [part[:3] for part in received.headers["webhook-signature"].split(" ")] == ["v1,", "v1,"]
    for secret in (SECRET, OTHER_SECRET):
        Webhook(secret).verify(received.body, received.headers)


async def test_a_large_body_is_signed_whole(sink: Sink) -> None:
    alerts = [alert(instance=f"db{n}", annotations={"description": "x" * 4096}) for n in range(500)]
    await send(WebhookChannel, sink.url, notification(*alerts), signing_secret=SECRET)
    received = sink.received[0]
    Webhook(SECRET).verify(received.body, received.headers)


async def test_a_retry_has_the_same_id_signed_or_not(sink: Sink) -> None:
    statuses = iter([503, 200, 200])
    sink.script = lambda _: web.Response(status=next(statuses))
    for secret in (None, None, SECRET):
        await send(WebhookChannel, sink.url, signing_secret=secret)
    assert [request.headers["webhook-id"] for request in sink.received] == ["msg_42"] * 3
    assert [[name for name in SIGNING_HEADERS if name in request.headers] for request in sink.received] == [
        ["webhook-id"],
        ["webhook-id"],
        list(SIGNING_HEADERS),
    ]


def test_a_request_contains_no_time_and_shows_no_secret() -> None:
    one = channel(WebhookChannel, signing_secret=SECRET)
    request = NOTIFIERS[WebhookChannel].request(one, notification())
    assert request == NOTIFIERS[WebhookChannel].request(one, notification())
    assert isinstance(request, Request)
    assert "webhook-timestamp" not in request.headers
    assert SECRET not in repr(request)


@pytest.mark.parametrize("name", [*SIGNING_HEADERS, "Webhook-ID"])
def test_a_custom_header_cannot_replace_a_signing_header(name: str) -> None:
    error = rejection(custom_headers={name: "x"})
    assert (error.field, error.message) == (f"custom_headers.{name}", "is set by the relay itself")


async def test_a_stored_custom_header_cannot_replace_a_signing_header(sink: Sink) -> None:
    headers = {"Webhook-Id": "theirs", "WEBHOOK-SIGNATURE": "theirs", "X-Team": "db"}
    assert isinstance(await send(WebhookChannel, sink.url, signing_secret=SECRET, custom_headers=headers), Sent)
    received = sink.received[0]
    assert (received.headers["webhook-id"], received.headers["X-Team"]) == ("msg_42", "db")
    assert "theirs" not in received.headers.values()


@pytest.mark.parametrize(
    "secret",
    [
        "",
        "secret",
        "whsec_",
        "whsec_!!!!",
        base64.b64encode(b"x" * 32).decode(),
        *("whsec_" + base64.b64encode(b"x" * size).decode() for size in (1, 23, 65)),
        "whsec_" + base64.b64encode(b"x" * 32).decode().rstrip("="),
        "whsec_" + "é" * 44,
        SECRET + "\n",
    ],
)
@pytest.mark.parametrize("field", ["signing_secret", "signing_secret_previous"])
def test_malformed_secrets_are_rejected_and_not_shown(field: str, secret: str) -> None:
    error = rejection(**{"signing_secret": SECRET} | {field: secret})
    assert error.field == field
    assert "24 to 64 bytes in base64" in error.message
    assert len(secret) < 10 or secret not in error.message


@pytest.mark.parametrize("size", [24, 25, 32, 64])
def test_secrets_of_all_sizes_are_accepted(size: int) -> None:
    secret = "whsec_" + base64.b64encode(b"\xfb" * size).decode()
    check_channel(channel(WebhookChannel, signing_secret=secret), EgressPolicy(()))


def test_a_previous_secret_requires_a_current_one() -> None:
    assert rejection(signing_secret_previous=SECRET).field == "signing_secret_previous"


def test_a_new_secret_is_valid_and_random() -> None:
    secrets = {new_signing_secret() for _ in range(3)}
    assert len(secrets) == 3
    for secret in secrets:
        check_channel(channel(WebhookChannel, signing_secret=secret), EgressPolicy(()))


def test_secrets_are_masked_kept_and_can_be_changed() -> None:
    data = {"channel_type": "webhook", "name": "c", "webhook_url": "https://example.com/x"}
    one = parse_channel(data | {"signing_secret": SECRET})
    shown = mask_secrets(one)
    assert (shown["signing_secret"], shown["signing_secret_previous"]) == (MASK, None)
    assert merge_patch(one, shown) == one
    changed = merge_patch(one, {"signing_secret": OTHER_SECRET, "signing_secret_previous": SECRET})
    assert msgspec.structs.asdict(changed)["signing_secret_previous"] == SECRET
    removed = merge_patch(changed, {"signing_secret_previous": None})
    assert msgspec.structs.asdict(removed)["signing_secret_previous"] is None
