"""How can a receiver tell that a request is this relay's, unchanged, and not one replayed?

By Standard Webhooks: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
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
MARK: Final = "whsec_"
"""What a secret starts with."""
MIN_KEY: Final = 24
MAX_KEY: Final = 64
NEW_KEY: Final = 32
"""Bytes of a key."""


class Signing(msgspec.Struct, frozen=True):
    """What a request is to be signed with when it is sent: the message's id, and each secret in use."""

    message_id: str
    secrets: tuple[str, ...]

    def __repr__(self) -> str:
        """Name the message alone, so that no log or traceback holds a secret."""
        return f"<signing of {self.message_id!r}>"

    def headers(self, body: bytes, moment: int) -> dict[str, str]:
        """The headers that sign a body sent at a moment, in seconds since 1970."""
        signed = f"{self.message_id}.{moment}.".encode() + body
        signatures = (
            base64.b64encode(hmac.digest(key_of(secret), signed, hashlib.sha256)).decode()
            for secret in self.secrets
        )
        return {
            TIMESTAMP: str(moment),
            SIGNATURE: " ".join(f"{VERSION},{signature}" for signature in signatures),
        }


def key_of(secret: str) -> bytes:
    """The key that a secret spells.

    Raises:
        ValueError: it is none.
    """
    if not secret.startswith(MARK):
        raise ValueError(f"a secret starts with {MARK}")
    return base64.b64decode(secret.removeprefix(MARK), validate=True)


def check_secret(field: str, secret: str) -> None:
    """Refuse a secret that receivers' libraries could not read.

    Raises:
        InvalidInput: names the field, without showing the secret.
    """
    try:
        key = key_of(secret)
    except (binascii.Error, ValueError):
        key = b""
    if not MIN_KEY <= len(key) <= MAX_KEY:
        raise InvalidInput(
            field,
            f"must be `{MARK}` and {MIN_KEY} to {MAX_KEY} bytes in base64; "
            "`relay secret --webhook` prints a new one",
        )


def new_signing_secret() -> str:
    """A new random secret."""
    return MARK + base64.b64encode(secrets.token_bytes(NEW_KEY)).decode()
