"""Email over SMTP, with one connection for each email.

https://www.rfc-editor.org/rfc/rfc5321
"""

import asyncio
import base64
import email.utils
import socket
import ssl
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache
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
"""Seconds for QUIT, after the email was accepted."""
HAPPY_EYEBALLS_DELAY: Final = 0.25
"""Seconds before the next address is tried in parallel. https://www.rfc-editor.org/rfc/rfc8305#section-5"""
LOGIN_REJECTED: Final = frozenset({530, 534, 535, 538})
"""https://www.rfc-editor.org/rfc/rfc4954#section-6"""
TOO_LARGE: Final = 552
"""The message is larger than the server accepts. https://www.rfc-editor.org/rfc/rfc1870#section-6.1

In response to RCPT it means a full mailbox. https://www.rfc-editor.org/rfc/rfc5321#section-4.5.3.1.10
"""
LOGIN_METHODS: Final = ("plain", "login", "cram-md5")
"""Only one of them is tried: several failed logins may lock the account."""


class Smtp:
    """Sends emails."""

    def __init__(self, egress_policy: EgressPolicy, timeout: float, tls: ssl.SSLContext | None = None) -> None:
        """`timeout` is in seconds, for one email. By default `tls` trusts the system's CAs."""
        self._egress_policy = egress_policy
        self._timeout = timeout
        self._tls = tls or _default_tls()

    async def send(self, mail: Mail) -> Outcome:
        """Send an email, and classify the server's replies.

        Raises:
            OSError: there is no reply; this includes TimeoutError and ssl.SSLError.
        """
        server: aiosmtplib.SMTP | None = None
        try:
            async with asyncio.timeout(self._timeout):
                server = await self._open(mail)
                outcome = await _transfer(server, mail)
            await _quit(server)
            return outcome
        except aiosmtplib.SMTPResponseException as error:
            return _classify(error, mail)
        except aiosmtplib.SMTPConnectError as error:
            raise error.__cause__ or error from None
        finally:
            if server is not None and server.transport is not None:
                cast(asyncio.WriteTransport, server.transport).abort()  # uvloop's transports are no subclass

    async def _open(self, mail: Mail) -> aiosmtplib.SMTP:
        """A client on an open socket, before the first command."""
        url = yarl.URL(mail.url)
        host = (url.raw_host or "").rstrip(".")
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(CONNECT_TIMEOUT):
            addresses = await loop.getaddrinfo(host, url.port or 0, type=socket.SOCK_STREAM)
            opened = await start_connection(
                addresses,
                happy_eyeballs_delay=HAPPY_EYEBALLS_DELAY,
                socket_factory=self._egress_policy.open_socket,
            )
        return aiosmtplib.SMTP(
            hostname=host,
            sock=opened,
            local_hostname=_ehlo_name(opened),
            timeout=None,
            use_tls=mail.security == "tls",
            start_tls=False,
            tls_context=self._tls,
        )


@cache
def _default_tls() -> ssl.SSLContext:
    """A context that trusts the system's CAs, which take some 30 ms to load."""
    return ssl.create_default_context()


def _ehlo_name(opened: socket.socket) -> str:
    """The argument of EHLO: the relay's address, because its host may have no public name.

    https://www.rfc-editor.org/rfc/rfc5321#section-4.1.3
    """
    address = opened.getsockname()[0].partition("%")[0]
    return f"[IPv6:{address}]" if ":" in address else f"[{address}]"


async def _transfer(server: aiosmtplib.SMTP, mail: Mail) -> Outcome:
    await server.connect()
    await server.ehlo()
    if mail.security == "starttls":
        if not server.supports_extension("starttls"):
            return Retry(Reason.CONNECTION_ERROR, "the mail server does not support STARTTLS")
        await server.starttls()
        await server.ehlo()
    if mail.username is not None and not await _log_in(server, mail):
        return Retry(Reason.AUTH_ERROR, "the mail server does not support AUTH PLAIN, LOGIN or CRAM-MD5")
    content = b"Date: " + email.utils.format_datetime(datetime.now(UTC)).encode() + b"\r\n" + mail.body
    size = [f"SIZE={len(content)}"] if server.supports_extension("size") else []
    await server.mail(mail.sender, options=size)
    rejections = await _send_recipients(server, mail)
    if len(rejections) == len(mail.recipients):
        return _all_rejected(rejections, mail)
    reply = await server.data(content)
    detail = _reply_text(reply.code, reply.message, mail)
    if rejections:
        first, count = _error_text(rejections[0], mail), f"{len(rejections)} of {len(mail.recipients)}"
        detail = f"{count} recipients were rejected, the first with {first}; {detail}"
    return Sent(reply.code, detail)


async def _log_in(server: aiosmtplib.SMTP, mail: Mail) -> bool:
    """Log in; False if the server offers no supported method."""
    assert mail.username is not None
    methods = {"plain": server.auth_plain, "login": server.auth_login, "cram-md5": server.auth_crammd5}
    # On an unencrypted connection, prefer the method that does not transmit the password.
    for method in reversed(LOGIN_METHODS) if mail.security == "none" else LOGIN_METHODS:
        if method in server.server_auth_methods:
            await methods[method](mail.username, mail.password or "")
            return True
    return False


async def _send_recipients(server: aiosmtplib.SMTP, mail: Mail) -> list[aiosmtplib.SMTPRecipientRefused]:
    """Send the recipients, and return the rejections."""
    rejections = []
    for recipient in mail.recipients:
        try:
            await server.rcpt(recipient)
        except aiosmtplib.SMTPRecipientRefused as error:
            rejections.append(error)
    return rejections


def _all_rejected(rejections: list[aiosmtplib.SMTPRecipientRefused], mail: Mail) -> Outcome:
    """The outcome if all recipients were rejected: a retry, if it may succeed for one of them."""
    for rejection in rejections:
        if rejection.code in LOGIN_REJECTED:
            return _retry(Reason.AUTH_ERROR, rejection, mail)
        if rejection.code < 500 or rejection.code == TOO_LARGE:
            return _retry(Reason.SERVER_ERROR, rejection, mail)
    return Rejected(Reason.CLIENT_ERROR, _error_text(rejections[0], mail), rejections[0].code)


def _classify(error: aiosmtplib.SMTPResponseException, mail: Mail) -> Outcome:
    """The outcome of an error reply: a 5xx to the email itself is a rejection.

    A 5xx to an earlier command concerns the server or the channel's own address.
    """
    code = error.code
    if code in LOGIN_REJECTED or (isinstance(error, aiosmtplib.SMTPAuthenticationError) and code >= 500):
        return _retry(Reason.AUTH_ERROR, error, mail)
    if code < 400:
        return _retry(Reason.CONNECTION_ERROR, error, mail)
    if code >= 500 and (isinstance(error, aiosmtplib.SMTPDataError) or code == TOO_LARGE):
        return Rejected(Reason.CLIENT_ERROR, _error_text(error, mail), code)
    if code >= 500 and isinstance(error, aiosmtplib.SMTPSenderRefused):
        return _retry(Reason.CLIENT_ERROR, error, mail)
    return _retry(Reason.SERVER_ERROR, error, mail)


def _retry(reason: Reason, error: aiosmtplib.SMTPResponseException, mail: Mail) -> Retry:
    return Retry(reason, _error_text(error, mail), error.code if error.code > 0 else None)


def _error_text(error: aiosmtplib.SMTPResponseException, mail: Mail) -> str:
    return _reply_text(error.code, error.message, mail)


def _reply_text(code: int, text: str, mail: Mail) -> str:
    """A reply as one line of text, with the login masked in the encodings of SMTP."""
    for secret in _encoded_secrets(mail):
        text = text.replace(secret, MASK)
    text = " ".join(text.encode(errors="surrogateescape").decode(errors="replace").split())
    return f"{code} {text}".strip() if code > 0 else text


def _encoded_secrets(mail: Mail) -> list[str]:
    if not mail.password:
        return []
    logins = (f"\0{mail.username}\0{mail.password}", mail.password)
    return [base64.b64encode(login.encode()).decode() for login in logins]


async def _quit(server: aiosmtplib.SMTP) -> None:
    with suppress(aiosmtplib.SMTPException, OSError):
        async with asyncio.timeout(QUIT_TIMEOUT):
            await server.quit()
