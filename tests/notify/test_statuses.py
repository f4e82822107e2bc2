"""Is each class of status read the same way for every channel type?"""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from aiohttp import web

from relay.domain.channels import BaseChannel
from relay.domain.outcomes import Reason, Rejected, Retry, Sent
from tests.fixtures.sink import Sink
from tests.notify.conftest import Tell

DAY = 86_400.0


def answers(sink: Sink, status: int, text: str = "words of the platform", **headers: str) -> None:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    sink.script = lambda _: web.Response(status=status, text=None if status == 204 else text, headers=named)


@pytest.mark.parametrize("status", [200, 201, 202, 204])
async def test_a_2xx_is_a_yes(kind: type[BaseChannel], status: int, sink: Sink, tell: Tell) -> None:
    answers(sink, status)
    outcome = await tell(kind, sink.url)
    assert isinstance(outcome, Sent)
    assert outcome.status_code == status


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (400, Reason.CLIENT_ERROR),
        (401, Reason.AUTH_ERROR),
        (403, Reason.AUTH_ERROR),
        (404, Reason.CLIENT_ERROR),
        (410, Reason.CLIENT_ERROR),
        (413, Reason.CLIENT_ERROR),
        (418, Reason.CLIENT_ERROR),
    ],
)
async def test_a_4xx_is_final(
    kind: type[BaseChannel], status: int, reason: Reason, sink: Sink, tell: Tell
) -> None:
    answers(sink, status)
    outcome = await tell(kind, sink.url)
    assert outcome == Rejected(reason, f"{status} words of the platform", status)


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (408, Reason.CLIENT_ERROR),
        (425, Reason.CLIENT_ERROR),
        (429, Reason.RATE_LIMITED),
        (500, Reason.SERVER_ERROR),
        (502, Reason.SERVER_ERROR),
        (503, Reason.SERVER_ERROR),
    ],
)
async def test_what_may_pass_is_tried_again(
    kind: type[BaseChannel], status: int, reason: Reason, sink: Sink, tell: Tell
) -> None:
    answers(sink, status)
    outcome = await tell(kind, sink.url)
    assert outcome == Retry(reason, f"{status} words of the platform", status, None)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(kind: type[BaseChannel], status: int, sink: Sink, tell: Tell) -> None:
    answers(sink, status, Location=f"{sink.url}/elsewhere")
    outcome = await tell(kind, f"{sink.url}/here")
    assert isinstance(outcome, Rejected)
    assert outcome.reason is Reason.OTHER
    assert "redirects are not followed" in outcome.detail
    assert [one.path for one in sink.received] == ["/here"]


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    ("header", "after"),
    [
        ("7", 7.0),
        ("0.25", 0.25),
        (" 3 ", 3.0),
        ("-5", 0.0),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0),
        ("99999999999", DAY),
        ("soon", None),
        ("", None),
        ("nan", None),
        ("1e999", None),
        ("Fri, 31 Dec 99999999999999999999 23:59:59 GMT", None),
        ("Fri, 31 Dec 2026 23:59:59 +99999999999999999999", None),
    ],
)
async def test_retry_after_is_obeyed_within_reason(
    kind: type[BaseChannel], status: int, header: str, after: float | None, sink: Sink, tell: Tell
) -> None:
    answers(sink, status, Retry_After=header)
    outcome = await tell(kind, sink.url)
    assert isinstance(outcome, Retry)
    assert outcome.after == after


async def test_retry_after_may_be_a_date(kind: type[BaseChannel], sink: Sink, tell: Tell) -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(minutes=2), usegmt=True)
    answers(sink, 429, Retry_After=date)
    outcome = await tell(kind, sink.url)
    assert isinstance(outcome, Retry)
    assert outcome.after == pytest.approx(120, abs=5)


@pytest.mark.parametrize("status", [200, 400, 500])
async def test_a_body_of_garbage_does_not_change_what_the_status_says(
    kind: type[BaseChannel], status: int, sink: Sink, tell: Tell
) -> None:
    garbage = bytes(range(256)) * 10
    sink.script = lambda _: web.Response(status=status, body=garbage)
    outcome = await tell(kind, sink.url)
    assert outcome.status_code == status
    assert type(outcome).__name__ == {200: "Sent", 400: "Rejected", 500: "Retry"}[status]
    assert outcome.detail
    assert "\0" not in outcome.detail
    assert len(outcome.detail) <= 500


@pytest.mark.parametrize("body", ["null", "[]", '"ok"', "{}", "12", '{"ok": true}', "{", "ok", ""])
async def test_any_json_in_a_200_is_a_yes(kind: type[BaseChannel], body: str, sink: Sink, tell: Tell) -> None:
    answers(sink, 200, body)
    assert isinstance(await tell(kind, sink.url), Sent)
