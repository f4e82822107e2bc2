"""The strict platforms limit rates as the real ones do, and report the wait."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.fixtures.sink import Sink
from tests.notify.factories import ACCOUNT, AUTH_TOKEN, BOT_TOKEN, ROUTING_KEY
from tests.notify.sending import request
from tests.notify.strict.discord import DISCORD_HOOK, StrictDiscord
from tests.notify.strict.minimal import BASIC, BEARER, EVENT, JSON, PLAIN, QUIET, TEXT, card, line
from tests.notify.strict.pagerduty import StrictPagerDuty
from tests.notify.strict.platform import StrictPlatform
from tests.notify.strict.slack import SLACK_HOOK, StrictSlack
from tests.notify.strict.teams import TEAMS_HOOK, StrictTeams
from tests.notify.strict.telegram import StrictTelegram
from tests.notify.strict.twilio import StrictTwilio


@pytest.mark.parametrize(
    ("make", "path", "body", "headers", "limit", "wait"),
    [
        (StrictSlack, SLACK_HOOK, {"text": "x"}, JSON, 5, 3),
        (StrictSlack, "/api/chat.postMessage", {"text": "x", "channel": "#alerts"}, BEARER, 5, 3),
        (StrictDiscord, DISCORD_HOOK, QUIET | {"content": "x"}, JSON, 5, 2),
        (StrictTeams, TEAMS_HOOK, card(line("x")), JSON, 4, 1),
        (
            lambda **options: StrictTelegram(BOT_TOKEN, "42", **options),
            f"/bot{BOT_TOKEN}/sendMessage",
            PLAIN | {"text": "x"},
            JSON,
            5,
            3,
        ),
        (
            lambda **options: StrictTelegram(BOT_TOKEN, "-42", **options),
            f"/bot{BOT_TOKEN}/sendMessage",
            PLAIN | {"text": "x", "chat_id": "-42"},
            JSON,
            20,
            60,
        ),
        (lambda **options: StrictPagerDuty(ROUTING_KEY, **options), "/v2/enqueue", EVENT, JSON, 120, 60),
        (
            lambda **options: StrictTwilio(ACCOUNT, AUTH_TOKEN, **options),
            f"/2010-04-01/Accounts/{ACCOUNT}/Messages.json",
            TEXT,
            BASIC,
            30,
            1,
        ),
    ],
)
async def test_a_request_over_the_limit_succeeds_after_the_given_wait(
    make: Callable[..., StrictPlatform],
    path: str,
    body: Any,
    headers: dict[str, str],
    limit: int,
    wait: float,
    sink: Sink,
) -> None:
    now = 0.0
    sink.script = platform = make(limited=True, clock=lambda: now)
    for _ in range(limit):
        assert (await request(sink, path, body, headers)).status < 300
    refused = await request(sink, path, body, headers)
    assert refused.status == 429
    in_body = refused.body.get("parameters", {}) if isinstance(refused.body, dict) else {}
    retry_after = refused.headers.get("Retry-After") or in_body.get("retry_after")
    assert retry_after is None or float(retry_after) == wait
    now = wait
    assert (await request(sink, path, body, headers)).status < 300
    assert len(platform.messages) == limit + 1


async def test_discord_s_headers_have_the_remaining_requests(sink: Sink) -> None:
    sink.script = StrictDiscord(limited=True, clock=lambda: 0.0)
    headers = [(await request(sink, DISCORD_HOOK, QUIET | {"content": "x"})).headers for _ in range(5)]
    assert [one["X-RateLimit-Remaining"] for one in headers] == ["4", "3", "2", "1", "0"]
    refused = await request(sink, DISCORD_HOOK, QUIET | {"content": "x"})
    assert (refused.status, refused.body["retry_after"]) == (429, 2.0)
    assert refused.headers["X-RateLimit-Reset-After"] == "2.000"
