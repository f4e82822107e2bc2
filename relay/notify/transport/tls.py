"""TLS with a channel's own certificate authorities and client certificate."""

import ssl
import tempfile
from functools import cache, lru_cache
from pathlib import Path
from typing import Final

from relay.domain.channel_types import BaseChannel
from relay.domain.errors import InvalidInput

MAX_PEM: Final = 128 * 1024
MAX_CONTEXTS: Final = 256


def check_tls(channel: BaseChannel) -> None:
    """Reject certificates and keys that cannot be used.

    Raises:
        InvalidInput: names the field.
    """
    for field in ("tls_ca", "tls_cert", "tls_key"):
        text = getattr(channel, field)
        if text is not None and not 0 < len(text) <= MAX_PEM:
            raise InvalidInput(field, f"must have 1 to {MAX_PEM} characters")
    for field, other in (("tls_cert", "tls_key"), ("tls_key", "tls_cert")):
        if getattr(channel, field) is None and getattr(channel, other) is not None:
            raise InvalidInput(field, f"is required with {other}")
    try:
        _context(channel.tls_ca, None, None)
    except (ssl.SSLError, TypeError):
        raise InvalidInput("tls_ca", "must be certificates in PEM format") from None
    try:
        tls_of(channel)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise InvalidInput("tls_key", "is not the key of tls_cert") from None
        raise InvalidInput(
            "tls_cert", "must be a certificate in PEM format, with an unencrypted tls_key"
        ) from None


def tls_of(channel: BaseChannel) -> ssl.SSLContext | None:
    """The context for a channel's connections; None if it uses the system's authorities and no certificate.

    Raises:
        ssl.SSLError: a certificate or key is invalid.
    """
    if channel.tls_ca is None and channel.tls_cert is None:
        return None
    return _context(channel.tls_ca, channel.tls_cert, channel.tls_key)


@cache
def system_tls() -> ssl.SSLContext:
    """A context that trusts the system's CAs, which take some 30 ms to load."""
    return ssl.create_default_context()


@lru_cache(maxsize=MAX_CONTEXTS)
def _context(ca: str | None, certificate: str | None, key: str | None) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=ca)
    if certificate is not None and key is not None:
        # OpenSSL reads certificates for a connection only from files.
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "client.pem")
            path.touch(mode=0o600)
            path.write_text(f"{key}\n{certificate}\n")
            # A callback, because OpenSSL asks on the terminal for the password of an encrypted key.
            context.load_cert_chain(path, password=lambda: "")
    return context
