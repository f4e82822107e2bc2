"""Messages by SMS, over Twilio.

https://www.twilio.com/docs/messaging/api/message-resource#create-a-message-resource
"""

import re
from collections.abc import Sequence
from http import HTTPStatus
from typing import Final
from urllib.parse import urlencode

import msgspec

from relay.domain.channel_types import RateLimit, SmsChannel
from relay.domain.errors import InvalidInput
from relay.domain.notifications import Message
from relay.domain.outcomes import Outcome, Reason
from relay.notify.classify import accepted, failure, retry
from relay.notify.notifier import Notifier, require_url_without_secrets
from relay.notify.platforms.sms_text import text_of
from relay.notify.redact import basic_credentials
from relay.notify.requests import Request, Response

RATE_LIMIT: Final = RateLimit(per_second=1, burst=5)
"""One segment a second from a long code; Twilio queues the rest.

https://help.twilio.com/articles/115002943027
"""
MAX_RECIPIENTS: Final = 20
UNDELIVERED: Final = frozenset({"failed", "undelivered", "canceled"})
"""https://www.twilio.com/docs/messaging/api/message-resource#message-status-values"""
FORM: Final = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}

RATE_LIMITED: Final = frozenset({14107, 20429, 21611, 30001, 63018, 63038})
AUTH_ERRORS: Final = frozenset(
    {10001, 10002, 20003, 20004, 20005, 20006, 20008, 20404, 21219, 21408, 21608, 30002, 30039}
)
SENDER_ERRORS: Final = frozenset(
    {
        *(21212, 21213, 21215, 21266, 21601, 21603, 21606, 21607, 21612, 21618, 21659, 21660, 21661),
        *(21701, 21702, 21703, 21704, 21705, 21708, 21712, 30032, 30033, 30034, 30035),
    }
)
"""Errors of the account, or of the sending number or service: about the channel and not about the message.

https://www.twilio.com/docs/api/errors
"""

_account = re.compile(r"AC[0-9a-fA-F]{32}")
_service = re.compile(r"MG[0-9a-fA-F]{32}")
_number = re.compile(r"\+[1-9][0-9]{6,14}")
_sender = re.compile(r"\+[1-9][0-9]{6,14}|[0-9]{3,8}|(?=.*[A-Za-z])[A-Za-z0-9 +_&-]{1,11}")


class SmsNotifier(Notifier[SmsChannel]):
    """Twilio, and servers that are compatible with its API."""

    rate_limit = RATE_LIMIT

    def check(self, channel: SmsChannel) -> None:
        """Check the account, the sender and the numbers, and that the API's URL contains no secret."""
        require_url_without_secrets("twilio_url", channel.twilio_url)
        if not _account.fullmatch(channel.account_sid):
            raise InvalidInput("account_sid", "must be AC and 32 hexadecimal digits")
        if not channel.auth_token.strip():
            raise InvalidInput("auth_token", "must not be empty")
        _check_sender(channel)
        if not 1 <= len(channel.sms_to) <= MAX_RECIPIENTS:
            raise InvalidInput("sms_to", f"must contain 1 to {MAX_RECIPIENTS} numbers")
        for index, number in enumerate(channel.sms_to):
            if not _number.fullmatch(number):
                raise InvalidInput(f"sms_to[{index}]", "must be an E.164 number such as +4915112345678")
            if number in channel.sms_to[:index]:
                raise InvalidInput(f"sms_to[{index}]", "is a duplicate")

    def urls(self, channel: SmsChannel) -> dict[str, str]:
        """The URL of the API."""
        return {"twilio_url": channel.twilio_url}

    def requests(self, channel: SmsChannel, message: Message) -> Sequence[Request]:
        """One request for each number; a rejected number does not affect the others."""
        url = f"{channel.twilio_url.rstrip('/')}/2010-04-01/Accounts/{channel.account_sid}/Messages.json"
        login = {"Authorization": f"Basic {basic_credentials(channel.account_sid, channel.auth_token)}"}
        sender = (
            {"From": channel.sms_from}
            if channel.sms_from is not None
            else {"MessagingServiceSid": channel.messaging_service_sid}
        )
        text = text_of(message)
        return [
            Request(
                url=url,
                body=urlencode({"To": number, **sender, "Body": text}).encode(),
                headers=FORM | login,
                independent=True,
            )
            for number in channel.sms_to
        ]

    def verdict(self, request: Request, response: Response) -> Outcome:
        """Classify a response by its error code: `{"code": 21211, "message": "…", "status": 400}`.

        An error about the recipient, such as an unsubscribed number, has status 400 and is final. The success is a
        message, which has a `sid`; it may have failed already, with an `error_code`.
        """
        body = response.json_object()
        code = body.get("code")
        if 200 <= response.status < 300:
            sid, code = body.get("sid"), body.get("error_code")
            if not isinstance(sid, str) or not sid:
                return failure(response)
            if body.get("status") not in UNDELIVERED:
                return accepted(response, f"message {sid}")
            response = msgspec.structs.replace(response, status=HTTPStatus.BAD_REQUEST)
        if not 400 <= response.status < 500 or not isinstance(code, int):
            return failure(response)
        detail = f"{response.status} {response.text}"
        for codes, reason in (
            (RATE_LIMITED, Reason.RATE_LIMITED),
            (AUTH_ERRORS, Reason.AUTH_ERROR),
            (SENDER_ERRORS, Reason.CLIENT_ERROR),
        ):
            if code in codes:
                return retry(reason, detail, response)
        return failure(response)


def _check_sender(channel: SmsChannel) -> None:
    if (channel.sms_from is None) == (channel.messaging_service_sid is None):
        raise InvalidInput("sms_from", "is required unless messaging_service_sid is set; set one of them")
    if channel.sms_from is not None and not _sender.fullmatch(channel.sms_from):
        raise InvalidInput("sms_from", "must be an E.164 number, a short code, or a name of up to 11 characters")
    service = channel.messaging_service_sid
    if service is not None and not _service.fullmatch(service):
        raise InvalidInput("messaging_service_sid", "must be MG and 32 hexadecimal digits")
