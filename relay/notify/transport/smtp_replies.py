"""The error replies of mail servers and their outcomes.

https://www.rfc-editor.org/rfc/rfc5321#section-4.2.3
https://www.rfc-editor.org/rfc/rfc3463
"""

import base64
import re
from collections.abc import Sequence
from typing import Final

import aiosmtplib

from relay.domain.channels import MASK
from relay.domain.outcomes import Outcome, Reason, Rejected, Retry
from relay.notify.requests import Mail

LOGIN_REJECTED: Final = frozenset({530, 534, 535, 538})
"""https://www.rfc-editor.org/rfc/rfc4954#section-6"""
TOO_LARGE: Final = 552
"""The message is larger than the server accepts. https://www.rfc-editor.org/rfc/rfc1870#section-6.1

In response to RCPT it means a full mailbox. https://www.rfc-editor.org/rfc/rfc5321#section-4.5.3.1.10
"""
PROTOCOL_ERRORS: Final = frozenset({500, 501, 502, 503, 504, 521, 554, 555})
"""Of a recipient: the command, its parameters, or the server, and not the mailbox."""

_about_relay = re.compile(
    r"\b(helo|ehlo|relay\w*|client host|sender|spamhaus|bla?ck\s?list\w*|block\s?list\w*|authenticat\w*)\b",
    re.IGNORECASE,
)
"""Words of replies about who sends, which some servers give only in response to the recipients or the email."""
_about_server = re.compile(r"5\.(1\.[78]|[34567]\.\d{1,3})\b")
"""Enhanced status codes about the sender, the mail system, the network, the protocol or its policy."""


def outcome_of(error: aiosmtplib.SMTPResponseException, mail: Mail) -> Outcome:
    """The outcome of an error reply to a command before the recipients.

    A 5xx concerns the server, or the channel's own address, unless the email is too large.
    """
    code = error.code
    if code in LOGIN_REJECTED or (isinstance(error, aiosmtplib.SMTPAuthenticationError) and code >= 500):
        return _retry(Reason.AUTH_ERROR, error, mail)
    if code < 400:
        return _retry(Reason.CONNECTION_ERROR, error, mail)
    if code == TOO_LARGE:
        return _rejected(error, mail)
    if code >= 500 and isinstance(error, aiosmtplib.SMTPSenderRefused):
        return _retry(Reason.CLIENT_ERROR, error, mail)
    return _retry(Reason.SERVER_ERROR, error, mail)


def outcome_of_recipients(rejections: Sequence[aiosmtplib.SMTPRecipientRefused], mail: Mail) -> Outcome:
    """The outcome if all recipients were rejected: a retry, if it may succeed for one of them.

    It may unless the mailbox does not exist: also for a rejected HELO, sender or client, which many servers
    report only here.
    """
    for rejection in rejections:
        code, text = rejection.code, rejection.message
        if code in LOGIN_REJECTED:
            return _retry(Reason.AUTH_ERROR, rejection, mail)
        if code < 500 or code == TOO_LARGE:
            return _retry(Reason.SERVER_ERROR, rejection, mail)
        if code in PROTOCOL_ERRORS or _about_server.match(text) or _about_relay.search(text):
            return _retry(Reason.CLIENT_ERROR, rejection, mail)
    return _rejected(rejections[0], mail)


def outcome_of_data(error: aiosmtplib.SMTPResponseException, mail: Mail) -> Outcome:
    """The outcome of an error reply to the email itself: a 5xx rejects it, unless it is about the relay.

    After a reply that is no SMTP, the server may have accepted the email.
    """
    if error.code in LOGIN_REJECTED:
        return _retry(Reason.AUTH_ERROR, error, mail)
    if error.code < 400:
        detail = f"unexpected reply: {text_of(error.code, error.message, mail)}"
        return Retry(Reason.UNEXPECTED_RESPONSE, detail, unconfirmed=True)
    if error.code < 500:
        return _retry(Reason.SERVER_ERROR, error, mail)
    return (
        _retry(Reason.CLIENT_ERROR, error, mail) if _about_relay.search(error.message) else _rejected(error, mail)
    )


def text_of(code: int, text: str, mail: Mail) -> str:
    """A reply as one line of text, with the login masked in the encodings of SMTP."""
    for secret in _encoded_secrets(mail):
        text = text.replace(secret, MASK)
    text = " ".join(text.encode(errors="surrogateescape").decode(errors="replace").split())
    return f"{code} {text}".strip() if code > 0 else text


def _retry(reason: Reason, error: aiosmtplib.SMTPResponseException, mail: Mail) -> Retry:
    return Retry(reason, text_of(error.code, error.message, mail), error.code if error.code > 0 else None)


def _rejected(error: aiosmtplib.SMTPResponseException, mail: Mail) -> Rejected:
    return Rejected(Reason.CLIENT_ERROR, text_of(error.code, error.message, mail), error.code)


def _encoded_secrets(mail: Mail) -> list[str]:
    if not mail.password:
        return []
    logins = (f"\0{mail.username}\0{mail.password}", mail.password)
    return [base64.b64encode(login.encode()).decode() for login in logins]
