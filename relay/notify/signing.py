"""Signatures of requests by Standard Webhooks, which protect a receiver from forgery and replay.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import base64
import binascii
import hashlib
import hmac
import secrets
from typing import Final

import msgspec

from relay.domain.errors import InvalidInput

MESSAGE_ID: Final = "webhook-id"
TIMESTAMP: Final = "webhook-timestamp"
SIGNATURE: Final = "webhook-signature"
SIGNING_HEADERS: Final = frozenset({MESSAGE_ID, TIMESTAMP, SIGNATURE})
ID_PREFIX: Final = "msg_"
VERSION: Final = "v1"
"""The symmetric scheme, HMAC-SHA256."""
SECRET_PREFIX: Final = "whsec_"  # noqa: S105 - public
MIN_KEY_BYTES: Final = 24
MAX_KEY_BYTES: Final = 64
NEW_KEY_BYTES: Final = 32


class Signing(msgspec.Struct, frozen=True):
    """The message id and the secrets that a request is signed with when it is sent."""

    message_id: str
    secrets: tuple[str, ...]

    def __repr__(self) -> str:
        """Omit the secrets, so that logs and tracebacks do not contain them."""
        return f"<signing of {self.message_id!r}>"

    def headers(self, body: bytes, timestamp: int) -> dict[str, str]:
        """The headers that sign a body sent at `timestamp`, in seconds since 1970."""
        signed = f"{self.message_id}.{timestamp}.".encode() + body
        signatures = (
            base64.b64encode(hmac.digest(decode_key(secret), signed, hashlib.sha256)).decode()
            for secret in self.secrets
        )
        return {
            TIMESTAMP: str(timestamp),
            SIGNATURE: " ".join(f"{VERSION},{signature}" for signature in signatures),
        }


def decode_key(secret: str) -> bytes:
    """The key that a secret contains.

    Raises:
        ValueError: the secret is malformed.
    """
    if not secret.startswith(SECRET_PREFIX):
        raise ValueError(f"a secret starts with {SECRET_PREFIX}")
    return base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)


def check_secret(field: str, secret: str) -> None:
    """Reject a secret that receivers' libraries do not accept.

    Raises:
        InvalidInput: names the field, without the secret.
    """
    try:
        key = decode_key(secret)
    except (binascii.Error, ValueError):
        key = b""
    if not MIN_KEY_BYTES <= len(key) <= MAX_KEY_BYTES:
        raise InvalidInput(
            field,
            f"must be `{SECRET_PREFIX}` followed by {MIN_KEY_BYTES} to {MAX_KEY_BYTES} bytes in base64; "
            "`relay secret --webhook` prints a new one",
        )


def new_signing_secret() -> str:
    """Generate a random secret."""
    return SECRET_PREFIX + base64.b64encode(secrets.token_bytes(NEW_KEY_BYTES)).decode()
