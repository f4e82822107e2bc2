"""Encryption of secrets with AES-256-GCM, bound to their channel, with key rotation.

Format of a sealed value: version (1 byte) | key id (4) | nonce (12) | ciphertext and tag.
The key id is the start of the key's SHA-256, so that the right key of several is found without trying all.
"""

import base64
import binascii
import hashlib
import secrets
from typing import Any, Final

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from relay.domain.errors import SealBroken, SettingsError

FORMAT: Final = b"\x01"
KEY_BYTES: Final = 32
KEY_ID_BYTES: Final = 4
NONCE_BYTES: Final = 12
"""96 random bits, as NIST SP 800-38D recommends for fewer than 2^32 encryptions per key."""
HEADER_BYTES: Final = len(FORMAT) + KEY_ID_BYTES


class Seal:
    """Encrypts with the first key, decrypts with any."""

    def __init__(self, keys: str) -> None:
        """Parse one or more keys, 32 bytes each in URL-safe base64, separated by commas.

        Raises:
            SettingsError: a key is malformed; states its position, not its value.
        """
        self._keys: dict[bytes, AESGCM] = {}
        for at, text in enumerate(keys.split(","), start=1):
            key = _read_key(text.strip(), at)
            self._keys.setdefault(_key_id(key), AESGCM(key))
        self._first = next(iter(self._keys))

    def seal(self, secret_fields: dict[str, Any], owner: str) -> bytes:
        """Encrypt JSON data. It can be decrypted only for the same owner."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        header = FORMAT + self._first
        plain = msgspec.json.encode(secret_fields)
        return header + nonce + self._keys[self._first].encrypt(nonce, plain, header + owner.encode())

    def open(self, sealed: bytes, owner: str) -> dict[str, Any]:
        """Decrypt a value that `seal` returned.

        Raises:
            SealBroken: the key is missing, or the value was changed or belongs to another owner.
        """
        header, nonce = sealed[:HEADER_BYTES], sealed[HEADER_BYTES : HEADER_BYTES + NONCE_BYTES]
        key = self._keys.get(header[len(FORMAT) :])
        if header[: len(FORMAT)] != FORMAT or key is None:
            raise SealBroken(
                f"the secrets of {owner} are sealed with a key that RELAY_SECRET_KEY does not contain"
            )
        try:
            plain = key.decrypt(nonce, sealed[HEADER_BYTES + NONCE_BYTES :], header + owner.encode())
        except (InvalidTag, ValueError):
            raise SealBroken(f"the sealed secrets of {owner} were changed or belong to another channel") from None
        return msgspec.json.decode(plain, type=dict[str, Any])

    def uses_first_key(self, sealed: bytes) -> bool:
        """Whether a value is sealed with the first key."""
        return sealed[:HEADER_BYTES] == FORMAT + self._first


def new_key() -> str:
    """Generate a random key for RELAY_SECRET_KEY."""
    return base64.urlsafe_b64encode(secrets.token_bytes(KEY_BYTES)).decode()


def _read_key(text: str, at: int) -> bytes:
    try:
        key = base64.b64decode(text.encode(), altchars=b"-_", validate=True)
    except (binascii.Error, UnicodeEncodeError, ValueError):
        key = b""
    if len(key) != KEY_BYTES:
        raise SettingsError(
            f"RELAY_SECRET_KEY: key {at} is not 32 bytes in URL-safe base64; `relay secret` prints a new one"
        )
    return key


def _key_id(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()[:KEY_ID_BYTES]
