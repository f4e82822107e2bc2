"""The responses of each platform, and what follows from each: the rows of docs/responses.md."""

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Any, NamedTuple

from aiohttp import web

from relay.domain.outcomes import Outcome, Reason, Rejected, Retry, Sent

PAGE = "<!DOCTYPE html>\n<html><head><title>Sign in</title></head><body>Sign in to the network</body></html>"


class Result(StrEnum):
    """What follows from a response."""

    DELIVERED = "delivered"
    RETRIED = "retried"
    UNCONFIRMED = "retried a few times, because the platform may have accepted the message"
    DISABLES = "disables the channel"
    DEAD = "dead"


class Row(NamedTuple):
    """A response: its status, its body as text or JSON, its headers."""

    result: Result
    status: int
    body: Any = ""
    headers: Mapping[str, str] = {}

    def response(self) -> web.Response:
        """The response for a sink to give."""
        if isinstance(self.body, str):
            return web.Response(status=self.status, text=self.body, headers=self.headers)
        return web.json_response(self.body, status=self.status, headers=self.headers)

    def __str__(self) -> str:
        return f"{self.status} {self.body}"[:60]


def result_of(outcome: Outcome) -> Result:
    """The class of an outcome."""
    match outcome:
        case Sent():
            return Result.DELIVERED
        case Retry(reason=Reason.DESTINATION_GONE):
            return Result.DISABLES
        case Retry(unconfirmed=True):
            return Result.UNCONFIRMED
        case Retry():
            return Result.RETRIED
        case Rejected():
            return Result.DEAD


def statuses(**given: Result) -> Iterator[Row]:
    """What statuses mean on every platform, except for those `given` as `s404=…`."""
    results = dict.fromkeys((401, 402, 403, 404, 405, 407, 408, 414, 421, 423, 425, 426, 429, 431, 451), RETRIED)
    results |= dict.fromkeys((500, 502, 503, 504, 599, 301, 302, 307, 308), RETRIED)
    results |= {410: DISABLES} | dict.fromkeys((400, 406, 409, 411, 413, 415, 422), DEAD)
    results |= {int(name[1:]): result for name, result in given.items()}
    for status, result in results.items():
        yield Row(result, status, "details", {"Location": "/elsewhere"} if status < 400 else {})


def foreign() -> Iterator[Row]:
    """What a platform with a success of its own does not respond: pages of proxies, and unknown bodies."""
    for status in (200, 201, 202, 400, 404, 410, 422, 503):
        yield Row(RETRIED, status, PAGE, {"Content-Type": "text/html; charset=utf-8"})
        yield Row(RETRIED, status, PAGE)
    for body in ("half", "Accepted by the load balancer", '"text"'):
        yield Row(UNCONFIRMED, 200, body)


DELIVERED, RETRIED, UNCONFIRMED, DISABLES, DEAD = Result


def telegram(result: Result, code: int, description: str, **more: Any) -> Row:
    """An error of Telegram."""
    return Row(result, code, {"ok": False, "error_code": code, "description": description} | more)


def discord(result: Result, status: int, code: int, **more: Any) -> Row:
    """An error of Discord."""
    return Row(result, status, {"message": "An error", "code": code} | more)


def twilio(result: Result, status: int, code: int) -> Row:
    """An error of Twilio."""
    return Row(result, status, {"code": code, "message": "An error", "status": status})


def logic_app(result: Result, status: int, code: str) -> Row:
    """An error of Workflows."""
    return Row(result, status, {"error": {"code": code, "message": "An error"}})


SLACK_CODES = {
    **dict.fromkeys(
        (
            *("ratelimited", "message_limit_exceeded", "internal_error", "fatal_error", "service_unavailable"),
            *(
                "invalid_auth",
                "invalid_token",
                "not_in_channel",
                "missing_scope",
                "token_revoked",
                "team_disabled",
            ),
            *("account_inactive", "restricted_action", "posting_to_general_channel_denied", "no_channel"),
            *("team_not_found", "messages_tab_disabled", "rollup_error", "action_prohibited"),
        ),
        RETRIED,
    ),
    **dict.fromkeys(
        (
            *("channel_not_found", "channel_is_archived", "is_archived", "is_inactive", "no_service", "no_team"),
            *("no_service_id", "no_active_hooks", "user_not_found"),
        ),
        DISABLES,
    ),
    **dict.fromkeys(("invalid_blocks", "msg_too_long", "no_text", "too_many_attachments", "unheard_of"), DEAD),
}

RESPONSES: dict[str, tuple[Row, ...]] = {
    "slack": (
        Row(DELIVERED, 200, "ok"),
        Row(DELIVERED, 200, "ok", {"Content-Type": "text/html"}),
        Row(DELIVERED, 200, {"ok": True}),
        Row(DELIVERED, 200, {"success": True}),
        Row(DELIVERED, 200, {"result": "success", "msg": "", "ignored_parameters_unsupported": []}),
        *(Row(result, 200, code) for code, result in SLACK_CODES.items() if "_" in code),
        *(Row(result, 200, {"ok": False, "error": code}) for code, result in SLACK_CODES.items()),
        *(
            Row(result, 403, code, {"Content-Type": "text/html"})
            for code, result in SLACK_CODES.items()
            if result is not DEAD
        ),
        *(Row(result, 400, code, {"Content-Type": "text/html"}) for code, result in SLACK_CODES.items()),
        Row(DEAD, 200, {"success": False, "error": "a text of Rocket.Chat"}),
        Row(DEAD, 400, {"result": "error", "msg": "Malformed payload", "code": "BAD_REQUEST"}),
        Row(UNCONFIRMED, 200),
        Row(UNCONFIRMED, 204),
        Row(UNCONFIRMED, 200, {}),
        Row(UNCONFIRMED, 200, {"ok": "yes"}),
        *statuses(),
        *foreign(),
    ),
    "slack bot": (
        Row(DELIVERED, 200, {"ok": True, "channel": "C1", "ts": "1503435956.000247"}),
        *(Row(result, 200, {"ok": False, "error": code}) for code, result in SLACK_CODES.items()),
        Row(UNCONFIRMED, 200, "ok"),
        Row(UNCONFIRMED, 200, {"success": True}),
        Row(UNCONFIRMED, 200),
        *statuses(),
        *foreign(),
    ),
    "discord": (
        Row(DELIVERED, 200, {"id": "1200000000000000000", "channel_id": "1"}),
        Row(UNCONFIRMED, 204),
        Row(UNCONFIRMED, 200),
        Row(UNCONFIRMED, 200, {"id": "x"}),
        Row(UNCONFIRMED, 200, "ok"),
        *(discord(RETRIED, 400, code) for code in (220001, 220002, 220003, 220004, 160005, 160006, 160007, 50083)),
        *(
            discord(RETRIED, 400, code)
            for code in (40066, 40067, 40058, 50008, 50024, 200001, 40004, 40006, 20016)
        ),
        *(discord(RETRIED, 403, code) for code in (50001, 50013, 0)),
        discord(RETRIED, 401, 50027),
        discord(RETRIED, 429, 0, retry_after=0.5),
        discord(RETRIED, 400, 50035, errors={"thread_name": {"_errors": []}}),
        discord(DEAD, 400, 50035, errors={"embeds": {"0": {}}, "username": {}}),
        *(discord(DEAD, 400, code) for code in (50035, 50006, 40005, 200000, 240000, 0)),
        *(discord(DISABLES, 404, code) for code in (10015, 10003, 0)),
        *statuses(s404=DISABLES),
        *foreign(),
    ),
    "teams": (
        Row(DELIVERED, 202),
        Row(DELIVERED, 200),
        Row(DELIVERED, 200, {"status": "posted"}),
        Row(DELIVERED, 202, "1"),
        logic_app(RETRIED, 400, "WorkflowTriggerIsNotEnabled"),
        logic_app(RETRIED, 401, "DirectApiAuthorizationRequired"),
        logic_app(RETRIED, 404, "ResourceNotFound"),
        logic_app(DISABLES, 404, "WorkflowNotFound"),
        logic_app(DEAD, 400, "TriggerInputSchemaMismatch"),
        logic_app(UNCONFIRMED, 200, "Failed"),
        Row(UNCONFIRMED, 201),
        Row(UNCONFIRMED, 204),
        Row(DEAD, 200, "Request Entity too large"),
        Row(
            DEAD,
            200,
            "Webhook message delivery failed with error: Microsoft Teams endpoint returned HTTP error 413",
        ),
        Row(
            RETRIED,
            200,
            "Webhook message delivery failed with error: Microsoft Teams endpoint returned HTTP error 429",
        ),
        *statuses(),
        *foreign(),
    ),
    "telegram": (
        Row(DELIVERED, 200, {"ok": True, "result": {"message_id": 7, "chat": {}}}),
        Row(DELIVERED, 200, {"ok": True, "result": {"chat": {}}}),
        Row(UNCONFIRMED, 200),
        Row(UNCONFIRMED, 200, {"result": {"message_id": 7}}),
        *(
            telegram(RETRIED, 400, f"Bad Request: {error}")
            for error in (
                *("need administrator rights in the channel chat", "have no rights to send a message"),
                *("not enough rights to send text messages to the chat", "CHAT_WRITE_FORBIDDEN", "TOPIC_CLOSED"),
                *("CHAT_ADMIN_REQUIRED", "USER_BANNED_IN_CHANNEL", "CHAT_SEND_PLAIN_FORBIDDEN", "PEER_ID_INVALID"),
                *(
                    "chat_id is empty",
                    "PEER_FLOOD",
                    "CHAT_RESTRICTED",
                    "bot can't initiate conversation with a user",
                ),
            )
        ),
        telegram(RETRIED, 403, "Forbidden: bot can't send messages to bots"),
        telegram(RETRIED, 401, "Unauthorized"),
        telegram(RETRIED, 404, "Not Found"),
        telegram(RETRIED, 409, "Conflict: terminated by other getUpdates request"),
        telegram(RETRIED, 429, "Too Many Requests: retry after 5", parameters={"retry_after": 5}),
        telegram(RETRIED, 500, "Internal Server Error: restart"),
        *(
            telegram(DISABLES, code, error)
            for code, error in (
                (400, "Bad Request: chat not found"),
                (400, "Bad Request: message thread not found"),
                (400, "Bad Request: TOPIC_DELETED"),
                (400, "Bad Request: group chat was upgraded to a supergroup chat"),
                (403, "Forbidden: bot was kicked from the group chat"),
                (403, "Forbidden: bot was blocked by the user"),
                (403, "Forbidden: user is deactivated"),
            )
        ),
        *(
            telegram(DEAD, 400, f"Bad Request: {error}")
            for error in (
                *("can't parse entities: Unsupported start tag", "message is too long", "message text is empty"),
                *("MESSAGE_TOO_LONG", "ENTITY_BOUNDS_INVALID", "BUTTON_URL_INVALID"),
            )
        ),
        Row(DISABLES, 200, {"ok": False, "error_code": 403, "description": "Forbidden: bot was kicked"}),
        Row(RETRIED, 200, {"ok": False, "error_code": 403, "description": "Forbidden"}),
        Row(DEAD, 200, {"ok": False, "error_code": 400, "description": "Bad Request: message is too long"}),
        Row(RETRIED, 200, {"ok": False, "error_code": 502, "description": "Bad Gateway"}),
        Row(UNCONFIRMED, 200, {"ok": False}),
        *statuses(),
        *foreign(),
    ),
    "pagerduty": (
        Row(RETRIED, 400, {"status": "invalid event", "errors": ["'routing_key' is invalid"]}),
        Row(DEAD, 400, {"status": "invalid event", "errors": ["'payload.summary' is missing"]}),
        Row(UNCONFIRMED, 202),
        Row(UNCONFIRMED, 202, {"status": "success"}),
        Row(UNCONFIRMED, 202, {"status": "success", "dedup_key": "another"}),
        Row(UNCONFIRMED, 200, {"status": "ok"}),
        *statuses(),
        *foreign(),
    ),
    "sms": (
        Row(DELIVERED, 201, {"sid": "SM0123", "status": "queued", "error_code": None}),
        Row(DELIVERED, 200, {"sid": "SM0123", "status": "accepted"}),
        Row(DEAD, 201, {"sid": "SM0123", "status": "failed", "error_code": 30003}),
        Row(RETRIED, 201, {"sid": "SM0123", "status": "failed", "error_code": 30002}),
        Row(UNCONFIRMED, 201, {"status": "queued"}),
        Row(UNCONFIRMED, 200),
        *(twilio(RETRIED, 400, code) for code in (21212, 21606, 21659, 21660, 21703, 21705, 21408, 21608, 20003)),
        twilio(RETRIED, 401, 20003),
        *(twilio(RETRIED, 429, code) for code in (20429, 14107, 63038)),
        *(twilio(DEAD, 400, code) for code in (21211, 21610, 21614, 21617)),
        *statuses(),
        *foreign(),
    ),
    "webhook": (
        *(Row(DELIVERED, status, body) for status in (200, 201, 202) for body in ("", "ok", PAGE, "{}", "half")),
        Row(DELIVERED, 204),
        *statuses(),
    ),
}
