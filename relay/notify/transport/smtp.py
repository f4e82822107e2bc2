"""How is a mail handed to a mail server, over SMTP?

https://www.rfc-editor.org/rfc/rfc5321
"""

import asyncio
import base64
import email.utils
import socket
import ssl
from contextlib import suppress
from datetime import UTC, datetime
from typing import Final, cast

import aiosmtplib
import yarl
from aiohappyeyeballs import start_connection

from relay.domain.channels import MASK
from relay.domain.outcomes import Outcome, Reason, Rejected, Retry, Sent
from relay.notify.requests import Mail
from relay.notify.transport.egress_policy import EgressPolicy

CONNECT_TIMEOUT: Final = 5.0
QUIT_TIMEOUT: Final = 1.0
"""Seconds for a polite end, after all is said."""
HAPPY_EYEBALLS_DELAY: Final = 0.25
"""Seconds before the next address of a name is tried beside the first (RFC 8305, section 5)."""
LOGIN_REFUSED: Final = frozenset({530, 534, 535, 538})
"""https://www.rfc-editor.org/rfc/rfc4954#section-6"""
TOO_LARGE: Final = 552
"""The message is larger than the server takes. https://www.rfc-editor.org/rfc/rfc1870#section-6.1

After RCPT it speaks of a mailbox that is full. https://www.rfc-editor.org/rfc/rfc5321#section-4.5.3.1.10
"""
LOGINS: Final = ("plain", "login", "cram-md5")
"""One is tried, not one after the other: a wrong password said three times may lock the account."""


class Smtp:
    """Hands over mails, on a connection for each."""

    def __init__(self, egress_policy: EgressPolicy, timeout: float, tls: ssl.SSLContext | None = None) -> None:
        """`timeout` is in seconds, for all of a mail. `tls` says who is trusted; by default, as the system."""
        self._targets = egress_policy
        self._timeout = timeout
        self._tls = tls or ssl.create_default_context()

    async def send(self, mail: Mail) -> Outcome:
        """Hand over a mail, and read what the server answers.

        Raises:
            OSError: there was no answer; TimeoutError and ssl.SSLError are of these.
        """
        server: aiosmtplib.SMTP | None = None
        try:
            async with asyncio.timeout(self._timeout):
                server = await self._server(mail)
                outcome = await _handed_over(server, mail)
            await _quit(server)
            return outcome
        except aiosmtplib.SMTPResponseException as error:
            return _refused(error, mail)
        except aiosmtplib.SMTPConnectError as error:
            raise error.__cause__ or error from None
        finally:
            if server is not None and server.transport is not None:
                cast(asyncio.WriteTransport, server.transport).abort()  # uvloop's are no subclasses of it

    async def _server(self, mail: Mail) -> aiosmtplib.SMTP:
        """A client on a socket that is open; nothing is said yet."""
        url = yarl.URL(mail.url)
        host = (url.raw_host or "").rstrip(".")
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(CONNECT_TIMEOUT):
            addresses = await loop.getaddrinfo(host, url.port or 0, type=socket.SOCK_STREAM)
            opened = await start_connection(
                addresses,
                happy_eyeballs_delay=HAPPY_EYEBALLS_DELAY,
                socket_factory=self._targets.open_socket,
            )
        return aiosmtplib.SMTP(
            hostname=host,
            sock=opened,
            local_hostname=_own_name(opened),
            timeout=None,
            use_tls=mail.security == "tls",
            start_tls=False,
            tls_context=self._tls,
        )


def _own_name(opened: socket.socket) -> str:
    """How we introduce ourselves: by our address, for the relay's machine may have no name that others know.

    https://www.rfc-editor.org/rfc/rfc5321#section-4.1.3
    """
    address = opened.getsockname()[0].partition("%")[0]
    return f"[IPv6:{address}]" if ":" in address else f"[{address}]"


async def _handed_over(server: aiosmtplib.SMTP, mail: Mail) -> Outcome:
    await server.connect()
    await server.ehlo()
    if mail.security == "starttls":
        if not server.supports_extension("starttls"):
            return Retry(Reason.CONNECTION_ERROR, "the mail server does not offer STARTTLS")
        await server.starttls()
        await server.ehlo()
    if mail.username is not None and not await _logged_in(server, mail):
        return Retry(Reason.AUTH_ERROR, "the mail server offers no login by PLAIN, LOGIN or CRAM-MD5")
    content = b"Date: " + email.utils.format_datetime(datetime.now(UTC)).encode() + b"\r\n" + mail.body
    size = [f"SIZE={len(content)}"] if server.supports_extension("size") else []
    await server.mail(mail.sender, options=size)
    refusals = await _refusals(server, mail)
    if len(refusals) == len(mail.recipients):
        return _nobody(refusals, mail)
    answer = await server.data(content)
    return Sent(answer.code, _told(answer.code, answer.message, mail, refusals))


async def _logged_in(server: aiosmtplib.SMTP, mail: Mail) -> bool:
    """Log in; False when the server offers no way that we know."""
    assert mail.username is not None
    ways = {"plain": server.auth_plain, "login": server.auth_login, "cram-md5": server.auth_crammd5}
    # Where others may listen, first what does not say the password.
    for way in reversed(LOGINS) if mail.security == "none" else LOGINS:
        if way in server.server_auth_methods:
            await ways[way](mail.username, mail.password or "")
            return True
    return False


async def _refusals(server: aiosmtplib.SMTP, mail: Mail) -> list[aiosmtplib.SMTPRecipientRefused]:
    """Name the recipients, and return who was refused."""
    refused = []
    for recipient in mail.recipients:
        try:
            await server.rcpt(recipient)
        except aiosmtplib.SMTPRecipientRefused as error:
            refused.append(error)
    return refused


def _nobody(refusals: list[aiosmtplib.SMTPRecipientRefused], mail: Mail) -> Outcome:
    """What it means that no recipient was taken: later, if that may help with one of them."""
    for refusal in refusals:
        if refusal.code in LOGIN_REFUSED:
            return _refused(refusal, mail)
        if refusal.code < 500 or refusal.code == TOO_LARGE:
            return _later(Reason.SERVER_ERROR, refusal, mail)
    return Rejected(Reason.CLIENT_ERROR, _words(refusals[0].code, refusals[0].message, mail), refusals[0].code)


def _refused(error: aiosmtplib.SMTPResponseException, mail: Mail) -> Outcome:
    """What an answer means that is no yes: a 5xx to the mail itself is a no.

    A 5xx to what comes before it speaks of the server, or of the channel's own address.
    """
    if error.code in LOGIN_REFUSED or (
        isinstance(error, aiosmtplib.SMTPAuthenticationError) and error.code >= 500
    ):
        return _later(Reason.AUTH_ERROR, error, mail)
    if error.code < 400:
        return _later(Reason.CONNECTION_ERROR, error, mail)
    if error.code >= 500 and (isinstance(error, aiosmtplib.SMTPDataError) or error.code == TOO_LARGE):
        return Rejected(Reason.CLIENT_ERROR, _words(error.code, error.message, mail), error.code)
    if error.code >= 500 and isinstance(error, aiosmtplib.SMTPSenderRefused):
        return _later(Reason.CLIENT_ERROR, error, mail)
    return _later(Reason.SERVER_ERROR, error, mail)


def _later(reason: Reason, error: aiosmtplib.SMTPResponseException, mail: Mail) -> Retry:
    return Retry(reason, _words(error.code, error.message, mail), error.code if error.code > 0 else None)


def _told(code: int, text: str, mail: Mail, refusals: list[aiosmtplib.SMTPRecipientRefused]) -> str:
    words = _words(code, text, mail)
    if not refusals:
        return words
    first = _words(refusals[0].code, refusals[0].message, mail)
    return f"{len(refusals)} of {len(mail.recipients)} recipients were refused, the first with {first}; {words}"


def _words(code: int, text: str, mail: Mail) -> str:
    """A reply for people, in one line, without the login in the spellings that only SMTP has."""
    for secret in _spellings(mail):
        text = text.replace(secret, MASK)
    text = " ".join(text.encode(errors="surrogateescape").decode(errors="replace").split())
    return f"{code} {text}".strip() if code > 0 else text


def _spellings(mail: Mail) -> list[str]:
    if not mail.password:
        return []
    logins = (f"\0{mail.username}\0{mail.password}", mail.password)
    return [base64.b64encode(login.encode()).decode() for login in logins]


async def _quit(server: aiosmtplib.SMTP) -> None:
    with suppress(aiosmtplib.SMTPException, OSError):
        async with asyncio.timeout(QUIT_TIMEOUT):
            await server.quit()
