"""Classification of HTTP responses as outcomes."""

import re
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
        HTTPStatus.PAYMENT_REQUIRED,
        HTTPStatus.FORBIDDEN,
        HTTPStatus.NOT_FOUND,
        HTTPStatus.METHOD_NOT_ALLOWED,
        HTTPStatus.PROXY_AUTHENTICATION_REQUIRED,
        HTTPStatus.GONE,
        HTTPStatus.REQUEST_URI_TOO_LONG,
        HTTPStatus.MISDIRECTED_REQUEST,
        HTTPStatus.LOCKED,
        HTTPStatus.UPGRADE_REQUIRED,
        HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
        HTTPStatus.UNAVAILABLE_FOR_LEGAL_REASONS,
    }
)
"""Errors in the channel's settings or on the platform. Once they are fixed, the same message can be sent."""

_markup = re.compile(rb"\s*<[!?a-zA-Z]")


def classify(response: Response) -> Outcome:
    """Classify a response by its status: 2xx is sent, a 4xx that concerns the message is rejected.

    All other statuses concern the destination or are temporary, so the message is retried. Platforms that define
    their success pass only their failures: see `failure`.
    """
    if 200 <= response.status < 300:
        return accepted(response)
    status, text = response.status, response.text
    if 400 <= status < 500 and status not in TEMPORARY_STATUSES | DESTINATION_STATUSES:
        return Rejected(_reason(status), f"{status} {text}".strip(), status)
    if 300 <= status < 400:
        text = f"redirects are not followed {text}"
    return retry(_reason(status), f"{status} {text}".strip(), response)


def failure(response: Response) -> Outcome:
    """Classify a response that is not the platform's success, of a platform that defines one.

    A 2xx is not from the platform, nor is a page that rejects the message or means that the destination is gone.
    """
    outcome = classify(response)
    final = isinstance(outcome, Rejected) or outcome == destination_gone(response)
    return unexpected(response) if isinstance(outcome, Sent) or (final and is_page(response)) else outcome


def accepted(response: Response, detail: str | None = None, message_refs: tuple[str, ...] = ()) -> Sent:
    """The outcome of a success, with its body by default, and the pause that its headers ask for."""
    text = response.text if detail is None else detail
    return Sent(response.status, text, until_reset(response.headers), message_refs)


def unexpected(response: Response) -> Retry:
    """The outcome of a response that the platform does not give.

    Unless it is a page, such as that of a proxy, the platform may have accepted the message.
    """
    detail = f"{response.status} unexpected response: {response.text or 'an empty body'}"
    return Retry(
        Reason.UNEXPECTED_RESPONSE,
        detail,
        response.status,
        retry_after(response),
        unconfirmed=200 <= response.status < 300 and not is_page(response),
    )


def is_page(response: Response) -> bool:
    """Whether the response is a page for a browser. Its type does not matter: Slack's `ok` has that of a page."""
    return _markup.match(response.body) is not None


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
