"""The error codes of Slack and their outcomes."""

import re
from collections.abc import Mapping
from typing import Any, Final

from relay.domain.outcomes import Outcome, Reason, Rejected
from relay.notify.classify import retry
from relay.notify.requests import Response

RATE_LIMITED: Final = frozenset({"ratelimited", "rate_limited", "message_limit_exceeded"})
AUTH_ERRORS: Final = frozenset(
    {
        "access_denied",
        "accesslimited",
        "account_inactive",
        "action_prohibited",
        "ekm_access_denied",
        "enterprise_is_restricted",
        "invalid_auth",
        "invalid_token",
        "missing_scope",
        "no_permission",
        "not_allowed_token_type",
        "not_authed",
        "not_in_channel",
        "org_login_required",
        "posting_to_general_channel_denied",
        "restricted_action",
        "restricted_action_non_threadable_channel",
        "restricted_action_read_only_channel",
        "restricted_action_thread_only_channel",
        "restricted_action_thread_locked",
        "team_access_not_granted",
        "team_disabled",
        "token_expired",
        "token_revoked",
        "two_factor_setup_required",
    }
)
CHANNEL_ERRORS: Final = frozenset(
    {
        "as_user_not_supported",
        "deprecated_endpoint",
        "invalid_channel",
        "invalid_post_type",
        "messages_tab_disabled",
        "method_deprecated",
        "missing_post_type",
        "no_channel",
        "team_not_found",
        "unknown_method",
    }
)
"""Errors of the channel's settings, which any message would cause."""
SERVER_ERRORS: Final = frozenset(
    {
        "external_channel_migrating",
        "fatal_error",
        "internal_error",
        "request_timeout",
        "rollup_error",
        "service_unavailable",
        "team_added_to_org",
        "update_failed",
    }
)
"""https://docs.slack.dev/reference/methods/chat.postMessage#errors"""
GONE: Final = frozenset(
    {
        "channel_is_archived",
        "channel_not_found",
        "is_archived",
        "is_inactive",
        "no_active_hooks",
        "no_service",
        "no_service_id",
        "no_team",
        "user_not_found",
    }
)
"""https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks#handling-errors"""
MESSAGE_GONE: Final = frozenset(
    {
        "cannot_reply_to_message",
        "cant_update_message",
        "edit_window_closed",
        "message_not_found",
        "thread_locked",
        "thread_not_found",
    }
)
"""https://docs.slack.dev/reference/methods/chat.update#errors"""
MAX_ERROR: Final = 200
"""Characters of an error response that are searched for its error code."""

_REASONS: Final[dict[str, Reason]] = {
    **dict.fromkeys(RATE_LIMITED, Reason.RATE_LIMITED),
    **dict.fromkeys(SERVER_ERRORS, Reason.SERVER_ERROR),
    **dict.fromkeys(AUTH_ERRORS, Reason.AUTH_ERROR),
    **dict.fromkeys(CHANNEL_ERRORS, Reason.CLIENT_ERROR),
    **dict.fromkeys(GONE, Reason.DESTINATION_GONE),
}
_code = re.compile(r"[a-z_]+")
_word = re.compile(r"[a-z]+(_[a-z]+)+")


def error_code(response: Response, body: Mapping[str, Any]) -> str | None:
    """The error code in a response: a field of its JSON, or a word; None if there is none.

    In a 2xx, which has no status to tell the error, it may be unknown.
    """
    words: list[str] = _code.findall(response.text[:MAX_ERROR])
    if (known := next((word for word in words if word in _REASONS or word in MESSAGE_GONE), None)) is not None:
        return known
    if not 200 <= response.status < 300:
        return None
    if body.get("ok") is False or body.get("success") is False:
        return str(body.get("error", "unknown_error"))
    return response.text if _word.fullmatch(response.text) else None


def outcome_of_error(error: str, response: Response) -> Outcome:
    """The outcome of a response with this error code; of an unknown one, the message is rejected."""
    detail = error if 200 <= response.status < 300 else f"{response.status} {response.text}"
    if error in MESSAGE_GONE:
        return Rejected(Reason.MESSAGE_GONE, detail, response.status)
    if (reason := _REASONS.get(error)) is not None:
        return retry(reason, detail, response)
    return Rejected(Reason.CLIENT_ERROR, detail, response.status)
