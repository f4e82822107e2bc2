"""The error codes of Slack and their outcomes."""

from typing import Final

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
        "team_access_not_granted",
        "token_expired",
        "token_revoked",
        "two_factor_setup_required",
    }
)
SERVER_ERRORS: Final = frozenset(
    {
        "external_channel_migrating",
        "fatal_error",
        "internal_error",
        "request_timeout",
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
    {"cant_update_message", "edit_window_closed", "message_not_found", "thread_not_found"}
)
"""https://docs.slack.dev/reference/methods/chat.update#errors"""


def outcome_of_error(error: str, response: Response) -> Outcome:
    """The outcome of a response with this error code."""
    reasons = (
        (RATE_LIMITED, Reason.RATE_LIMITED),
        (SERVER_ERRORS, Reason.SERVER_ERROR),
        (AUTH_ERRORS, Reason.AUTH_ERROR),
        (GONE, Reason.DESTINATION_GONE),
    )
    if error in MESSAGE_GONE:
        return Rejected(Reason.MESSAGE_GONE, error, response.status)
    for errors, reason in reasons:
        if error in errors:
            return retry(reason, error, response)
    return Rejected(Reason.CLIENT_ERROR, error, response.status)
