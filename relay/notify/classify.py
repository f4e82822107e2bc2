"""Classification of HTTP responses as outcomes."""

from http import HTTPStatus
from typing import Final

from relay.domain.outcomes import Outcome, Reason, Rejected, Retry, Sent
from relay.notify.requests import Response
from relay.notify.retry_after import retry_after, until_reset

TOO_EARLY: Final = 425
"""https://www.rfc-editor.org/rfc/rfc8470#section-5.2"""
TEMPORARY_STATUSES: Final = frozenset({HTTPStatus.REQUEST_TIMEOUT, TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS})
DESTINATION_STATUSES: Final = frozenset(
    {
        HTTPStatus.UNAUTHORIZED,
        HTTPStatus.FORBIDDEN,
        HTTPStatus.NOT_FOUND,
        HTTPStatus.METHOD_NOT_ALLOWED,
        HTTPStatus.PROXY_AUTHENTICATION_REQUIRED,
        HTTPStatus.GONE,
    }
)
"""Errors in the channel's settings or on the platform. Once they are fixed, the same message can be sent."""


def classify(response: Response) -> Outcome:
    """Classify a response by its status: 2xx is sent, a 4xx that concerns the message is rejected.

    All other statuses concern the destination or are temporary, so the message is retried.
    """
    status, text = response.status, response.text
    if 200 <= status < 300:
        return Sent(status, text, until_reset(response.headers))
    if 400 <= status < 500 and status not in TEMPORARY_STATUSES | DESTINATION_STATUSES:
        return Rejected(_reason(status), f"{status} {text}".strip(), status)
    if 300 <= status < 400:
        text = f"redirects are not followed {text}"
    return retry(_reason(status), f"{status} {text}".strip(), response)


def retry(reason: Reason, detail: str, response: Response) -> Retry:
    """A retry after the wait that the response requests."""
    return Retry(reason, detail, response.status, retry_after(response))


def destination_gone(response: Response) -> Retry:
    """The outcome of a response which means that the destination no longer exists."""
    return retry(Reason.DESTINATION_GONE, f"{response.status} {response.text}".strip(), response)


def _reason(status: int) -> Reason:
    """Alertmanager's failure reason for a status, and the relay's own for 410."""
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return Reason.RATE_LIMITED
    if status == HTTPStatus.GONE:
        return Reason.DESTINATION_GONE
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return Reason.AUTH_ERROR
    if 400 <= status < 500:
        return Reason.CLIENT_ERROR
    return Reason.SERVER_ERROR if status >= 500 else Reason.OTHER
