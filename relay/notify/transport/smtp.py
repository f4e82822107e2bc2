"""Email over SMTP, with one connection for each email.

https://www.rfc-editor.org/rfc/rfc5321
"""

import asyncio
import email.utils
import socket
import ssl
from contextlib import suppress
from datetime import UTC, datetime
from typing import Final, cast

import aiosmtplib
import yarl
from aiohappyeyeballs import start_connection

from relay.domain.outcomes import Outcome, Reason, Retry, Sent
from relay.notify.requests import Mail
from relay.notify.transport import smtp_replies
from relay.notify.transport.egress_policy import EgressPolicy
from relay.notify.transport.tls import system_tls

CONNECT_TIMEOUT: Final = 5.0
QUIT_TIMEOUT: Final = 1.0
"""Seconds for QUIT, after the email was accepted."""
HAPPY_EYEBALLS_DELAY: Final = 0.25
"""Seconds before the next address is tried in parallel. https://www.rfc-editor.org/rfc/rfc8305#section-5"""
LOGIN_METHODS: Final = ("plain", "login", "cram-md5")
"""Only one of them is tried: several failed logins may lock the account."""


class Smtp:
    """Sends emails."""

    def __init__(self, egress_policy: EgressPolicy, timeout: float, tls: ssl.SSLContext | None = None) -> None:
        """`timeout` is in seconds, for one email. By default `tls` trusts the system's CAs."""
        self._egress_policy = egress_policy
        self._timeout = timeout
        self._tls = tls or system_tls()

    async def send(self, mail: Mail, tls: ssl.SSLContext | None = None) -> Outcome:
        """Send an email, and classify the server's replies. `tls` is that of the channel, if it has its own.

        Raises:
            OSError: there is no reply; this includes TimeoutError and ssl.SSLError.
        """
        server: aiosmtplib.SMTP | None = None
        try:
            async with asyncio.timeout(self._timeout):
                server = await self._open(mail, tls or self._tls)
                outcome = await _transfer(server, mail)
            await _quit(server)
            return outcome
        except aiosmtplib.SMTPResponseException as error:
            return smtp_replies.outcome_of(error, mail)
        except aiosmtplib.SMTPConnectError as error:
            raise error.__cause__ or error from None
        finally:
            if server is not None and server.transport is not None:
                cast(asyncio.WriteTransport, server.transport).abort()  # uvloop's transports are no subclass

    async def _open(self, mail: Mail, tls: ssl.SSLContext) -> aiosmtplib.SMTP:
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
            local_hostname=mail.hello or _ehlo_name(opened),
            timeout=None,
            use_tls=mail.security == "tls",
            start_tls=False,
            tls_context=tls,
        )


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
        return smtp_replies.outcome_of_recipients(rejections, mail)
    try:
        reply = await server.data(content)
    except aiosmtplib.SMTPResponseException as error:
        return smtp_replies.outcome_of_data(error, mail)
    detail = smtp_replies.text_of(reply.code, reply.message, mail)
    if rejections:
        first = smtp_replies.text_of(rejections[0].code, rejections[0].message, mail)
        count = f"{len(rejections)} of {len(mail.recipients)}"
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


async def _quit(server: aiosmtplib.SMTP) -> None:
    with suppress(aiosmtplib.SMTPException, OSError):
        async with asyncio.timeout(QUIT_TIMEOUT):
            await server.quit()
