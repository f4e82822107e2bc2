"""Classification of responses, the same for every channel type that delivers over HTTP."""

import pytest

from relay.domain.channel_types import DiscordChannel, type_name
from relay.domain.outcomes import Outcome, Reason, Rejected, Retry
from relay.notify.registry import NOTIFIERS
from relay.notify.requests import Request, Response
from tests.notify.channel_types import OVER_HTTP

GARBAGE = bytes(range(256)) * 10


REQUEST = Request(url="https://hooks.example.com/x", body=b"{}")


def check_all(status: int, expected: Outcome, body: bytes = b"details") -> None:
    """Every notifier has the same verdict on a failure."""
    response = Response(status=status, headers={}, body=body)
    verdicts = {
        type_name(channel_class): NOTIFIERS[channel_class].verdict(REQUEST, response)
        for channel_class in OVER_HTTP
    }
    assert verdicts == dict.fromkeys(verdicts, expected)


@pytest.mark.parametrize("status", [400, 406, 411, 413, 415, 418, 422])
def test_a_4xx_that_concerns_the_message_is_rejected(status: int) -> None:
    check_all(status, Rejected(Reason.CLIENT_ERROR, f"{status} details", status))


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (401, Reason.AUTH_ERROR),
        (402, Reason.CLIENT_ERROR),
        (403, Reason.AUTH_ERROR),
        (405, Reason.CLIENT_ERROR),
        (407, Reason.CLIENT_ERROR),
        (410, Reason.DESTINATION_GONE),
        (414, Reason.CLIENT_ERROR),
        (421, Reason.CLIENT_ERROR),
        (423, Reason.CLIENT_ERROR),
        (426, Reason.CLIENT_ERROR),
        (431, Reason.CLIENT_ERROR),
        (451, Reason.CLIENT_ERROR),
        (408, Reason.CLIENT_ERROR),
        (425, Reason.CLIENT_ERROR),
        (429, Reason.RATE_LIMITED),
        (500, Reason.SERVER_ERROR),
        (502, Reason.SERVER_ERROR),
        (503, Reason.SERVER_ERROR),
        (599, Reason.SERVER_ERROR),
    ],
)
def test_a_temporary_error_or_one_of_the_destination_is_retried(status: int, reason: Reason) -> None:
    check_all(status, Retry(reason, f"{status} details", status))


def test_a_404_is_retried_and_means_for_discord_that_the_webhook_is_gone() -> None:
    response = Response(status=404, headers={}, body=b"details")
    for channel_type in OVER_HTTP:
        reason = Reason.DESTINATION_GONE if channel_type is DiscordChannel else Reason.CLIENT_ERROR
        assert NOTIFIERS[channel_type].verdict(REQUEST, response) == Retry(reason, "404 details", 404)


@pytest.mark.parametrize("status", [301, 302, 303, 304, 307, 308])
def test_a_redirect_is_retried(status: int) -> None:
    check_all(status, Retry(Reason.OTHER, f"{status} redirects are not followed details", status))


@pytest.mark.parametrize("status", [400, 500])
def test_a_body_of_garbage_does_not_change_the_outcome(status: int) -> None:
    text = " ".join(GARBAGE.decode(errors="replace").split())
    expected: dict[int, Outcome] = {
        400: Rejected(Reason.CLIENT_ERROR, f"400 {text}", 400),
        500: Retry(Reason.SERVER_ERROR, f"500 {text}", 500),
    }
    check_all(status, expected[status], GARBAGE)
