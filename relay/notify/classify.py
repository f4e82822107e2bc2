"""Classification of HTTP responses as outcomes."""

from datetime import datetime
from http import HTTPStatus
from typing import Final

from relay.domain.outcomes import Outcome, Reason, Rejected, Retry, Sent
from relay.notify.requests import Response
from relay.notify.retry_after import retry_after_of_response, until_reset

TOO_EARLY: Final = 425
OF_THE_MOMENT: Final = frozenset({HTTPStatus.REQUEST_TIMEOUT, TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS})
OF_THE_DESTINATION: Final = frozenset(
    {
        HTTPStatus.UNAUTHORIZED,
        HTTPStatus.FORBIDDEN,
        HTTPStatus.NOT_FOUND,
        HTTPStatus.METHOD_NOT_ALLOWED,
        HTTPStatus.PROXY_AUTHENTICATION_REQUIRED,
        HTTPStatus.GONE,
    }
)
"""What people can mend in the channel or at the platform, and then the same message is taken."""


def classify(response: Response, now: datetime | None = None) -> Outcome:
    """Read an answer by its status: 2xx is a yes, and a 4xx that speaks of the message is a no.

    All else speaks of the destination or of the moment, so that the same message may be taken later.
    """
    status, words = response.status, response.words
    if 200 <= status < 300:
        return Sent(status, words, until_reset(response.headers))
    if 400 <= status < 500 and status not in OF_THE_MOMENT | OF_THE_DESTINATION:
        return Rejected(reason_of(status), f"{status} {words}".strip(), status)
    if 300 <= status < 400:
        words = f"redirects are not followed {words}"
    return retry(reason_of(status), f"{status} {words}".strip(), response, now)


def retry(reason: Reason, detail: str, response: Response, now: datetime | None = None) -> Retry:
    """An answer that leaves the message to a later attempt, with the wait that it asks for."""
    after = retry_after_of_response(response.status, response.headers, response.body, now)
    return Retry(reason, detail, response.status, after)


def gone(response: Response) -> Retry:
    """An answer that says that the destination is no more."""
    return retry(Reason.DESTINATION_GONE, f"{response.status} {response.words}".strip(), response)


def reason_of(status: int) -> Reason:
    """Alertmanager's word for a status, and ours for 410."""
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return Reason.RATE_LIMITED
    if status == HTTPStatus.GONE:
        return Reason.DESTINATION_GONE
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return Reason.AUTH_ERROR
    if 400 <= status < 500:
        return Reason.CLIENT_ERROR
    return Reason.SERVER_ERROR if status >= 500 else Reason.OTHER
