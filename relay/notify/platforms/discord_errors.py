"""The error codes of Discord and their outcomes.

https://discord.com/developers/docs/topics/opcodes-and-status-codes#json-json-error-codes
"""

from http import HTTPStatus
from typing import Final

from relay.domain.outcomes import Outcome, Reason, Rejected
from relay.notify.classify import destination_gone, failure, is_page, retry
from relay.notify.requests import Request, Response

UNKNOWN_MESSAGE: Final = 10008
CANNOT_EDIT: Final = frozenset({30046, 50005, 50083, 160005})
"""Of an edit: too many of an old message, another author's message, or an archived or locked thread.

A new message to an archived or locked thread is about the thread.
"""
INVALID_BODY: Final = 50035
SETTINGS: Final = frozenset({"thread_name", "thread_id", "username", "avatar_url", "applied_tags"})
"""Fields of a message that come from the channel's settings."""
RATE_LIMITED: Final = frozenset({20016, 20022, 20028, 20029, 40062})
SERVER_ERRORS: Final = frozenset({40004, 40006, 110001, 130000})
CHANNEL_ERRORS: Final = frozenset(
    {
        *(30033, 30034, 40002, 40007, 40058, 40066, 40067, 50001, 50007, 50008, 50013, 50024, 50027, 50083),
        *(160005, 160006, 160007, 200001, 220001, 220002, 220003, 220004),
    }
)
"""Errors of the Discord channel, the thread or the webhook, which any message would cause.

A forum without a thread's name (220001), without a required tag (40067), with too many active threads (160006).
"""


def outcome_of_error(request: Request, response: Response) -> Outcome:
    """Classify a response that is no success. A 404 means that the webhook, or its thread, was deleted.

    https://discord.com/developers/docs/topics/rate-limits#invalid-request-limit-aka-cloudflare-bans
    """
    if not 400 <= response.status < 500 or is_page(response):
        return failure(response)
    body, detail = response.json_object(), f"{response.status} {response.text}"
    code = body.get("code")
    if code == UNKNOWN_MESSAGE or (code in CANNOT_EDIT and request.method == "PATCH"):
        return Rejected(Reason.MESSAGE_GONE, detail, response.status)
    if response.status == HTTPStatus.NOT_FOUND:
        return destination_gone(response)
    for codes, reason in (
        (RATE_LIMITED, Reason.RATE_LIMITED),
        (SERVER_ERRORS, Reason.SERVER_ERROR),
        (CHANNEL_ERRORS, _reason(response.status)),
    ):
        if code in codes:
            return retry(reason, detail, response)
    errors = body.get("errors")
    if code == INVALID_BODY and isinstance(errors, dict) and errors and errors.keys() <= SETTINGS:
        return retry(Reason.CLIENT_ERROR, detail, response)
    return failure(response)


def _reason(status: int) -> Reason:
    denied = status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
    return Reason.AUTH_ERROR if denied else Reason.CLIENT_ERROR
