"""Is the quiet that a platform asks for understood, wherever its answer says it?"""

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from aiohttp import web

from relay.domain.channel_types import (
    BaseChannel,
    DiscordChannel,
    PagerDutyChannel,
    RateLimit,
    SlackChannel,
    SmsChannel,
    TeamsChannel,
    TelegramChannel,
    WebhookChannel,
)
from relay.domain.outcomes import Outcome, Rejected, Retry, Sent
from relay.notify.registry import effective_rate_limit
from tests.fixtures.sink import Sink
from tests.notify.conftest import Tell
from tests.notify.factories import channel

pytestmark = pytest.mark.over_http

DAY = 86_400.0
LEFT = "X-RateLimit-Remaining"
RESET = "X-RateLimit-Reset-After"


async def answered(
    kind: type[BaseChannel], tell: Tell, sink: Sink, status: int, body: str = "no", **headers: str
) -> Outcome:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    sink.script = lambda _: web.Response(status=status, text=None if status == 204 else body, headers=named)
    return await tell(kind, sink.url)


def after(outcome: Outcome) -> float | None:
    assert isinstance(outcome, Sent | Retry)
    return outcome.after


@pytest.mark.parametrize("status", [401, 429, 500, 503])
@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7.0),
        ("0.25", 0.25),
        (" 3 ", 3.0),
        ("-5", 0.0),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0),
        ("43200", DAY / 2),
        ("99999999999", DAY),
        ("Fri, 31 Dec 9999 23:59:59 GMT", DAY),
        ("soon", None),
        ("", None),
        ("nan", None),
        ("1e999", None),
        ("Fri, 31 Dec 99999999999999999999 23:59:59 GMT", None),
        ("Fri, 31 Dec 2026 23:59:59 +99999999999999999999", None),
    ],
)
async def test_retry_after_is_obeyed_for_up_to_a_day(
    kind: type[BaseChannel], status: int, header: str, seconds: float | None, sink: Sink, tell: Tell
) -> None:
    assert after(await answered(kind, tell, sink, status, Retry_After=header)) == seconds


@pytest.mark.parametrize("status", [429, 503])
async def test_retry_after_may_be_a_date(kind: type[BaseChannel], status: int, sink: Sink, tell: Tell) -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(hours=2), usegmt=True)
    assert after(await answered(kind, tell, sink, status, Retry_After=date)) == pytest.approx(7200, abs=60)


@pytest.mark.parametrize(
    ("body", "seconds"),
    [
        ('{"message": "slow", "retry_after": 0.65, "global": false}', 0.65),
        (' {"retry_after": 64}', 64.0),
        ('{"ok": false, "error_code": 429, "parameters": {"retry_after": 35}}', 35.0),
        ('{"retry_after": 1e308}', DAY),
        (f'{{"retry_after": {"9" * 400}}}', DAY),
        ('{"retry_after": -1}', 0.0),
        ('{"retry_after": "1"}', None),
        ('{"retry_after": true}', None),
        ('{"retry_after": null, "parameters": null}', None),
        ('{"parameters": [{"retry_after": 1}]}', None),
        ("[]", None),
        ("{", None),
        ('{"a": ' * 9000, None),
        ("error code: 1015", None),
        ("", None),
    ],
)
async def test_the_body_may_say_how_long_to_wait(
    kind: type[BaseChannel], body: str, seconds: float | None, sink: Sink, tell: Tell
) -> None:
    assert after(await answered(kind, tell, sink, 429, body)) == seconds


@pytest.mark.parametrize(
    ("header", "body", "reset", "seconds"),
    [
        ("9", 0.5, "", 9.0),
        ("1", 2.5, "", 2.5),
        ("1", 2.5, "64", 64.0),
        ("", 2.5, "1", 2.5),
        ("", None, "1.5", 1.5),
    ],
)
async def test_the_longest_wait_of_a_429_counts(
    kind: type[BaseChannel], header: str, body: float | None, reset: str, seconds: float, sink: Sink, tell: Tell
) -> None:
    headers: dict[str, Any] = {"Retry-After": header, RESET: reset}
    told = await answered(kind, tell, sink, 429, json.dumps({"retry_after": body}), **headers)
    assert after(told) == seconds


@pytest.mark.parametrize("status", [200, 204])
@pytest.mark.parametrize(
    ("left", "reset", "seconds"),
    [
        ("0", "1.25", 1.25),
        ("0", "99999999", DAY),
        ("1", "1.25", None),
        ("0", "", None),
        ("", "3", None),
        ("0", "x", None),
    ],
)
async def test_a_yes_that_was_the_last_for_now_says_so(
    kind: type[BaseChannel], status: int, left: str, reset: str, seconds: float | None, sink: Sink, tell: Tell
) -> None:
    told = await answered(kind, tell, sink, status, **{LEFT: left, RESET: reset})
    assert isinstance(told, Sent)
    assert told.after == seconds


async def test_a_window_that_is_not_used_up_asks_for_no_quiet(
    kind: type[BaseChannel], sink: Sink, tell: Tell
) -> None:
    assert after(await answered(kind, tell, sink, 500, **{LEFT: "4", RESET: "30"})) is None
    assert isinstance(await answered(kind, tell, sink, 400, **{LEFT: "0", RESET: "30"}), Rejected)


def test_a_channel_s_own_limit_goes_before_its_platform_s(kind: type[BaseChannel]) -> None:
    own = RateLimit(per_second=7, burst=9)
    assert effective_rate_limit(channel(kind, rate_limit={"per_second": 7, "burst": 9})) == own


def test_platforms_have_limits_of_their_own() -> None:
    assert effective_rate_limit(channel(SlackChannel)) == RateLimit(per_second=1, burst=3)
    assert effective_rate_limit(channel(DiscordChannel)) == RateLimit(per_second=0.5, burst=5)
    assert effective_rate_limit(channel(TeamsChannel)) == RateLimit(per_second=1, burst=3)
    assert effective_rate_limit(channel(WebhookChannel)) is None
    assert effective_rate_limit(channel(TelegramChannel)) == RateLimit(per_second=1, burst=3)
    assert effective_rate_limit(channel(TelegramChannel, chat_id="-1001234")) == RateLimit(
        per_second=1 / 3, burst=5
    )
    assert effective_rate_limit(channel(PagerDutyChannel)) is None
    assert effective_rate_limit(channel(SmsChannel)) == RateLimit(per_second=1, burst=5)
