"""The credential of a request: a bearer token, or the password of basic authentication."""

import base64
import binascii
from typing import Final

from relay.domain.errors import Unauthorized

MAX_HEADER: Final = 24 * 1024
"""Characters of an Authorization header; a JWT has some thousand at most."""
HINT: Final = "send an API key: `Authorization: Bearer KEY`"


def credential_of(header: str, *, basic: bool) -> str | None:
    """Return the credential of an Authorization header; None without a header.

    With `basic`, the password of basic authentication is a credential as well.

    Raises:
        Unauthorized: the header is malformed.
    """
    if not header:
        return None
    scheme, _, given = header.partition(" ")
    given = given.strip()
    if len(header) > MAX_HEADER:
        raise Unauthorized("the Authorization header is too long")
    match scheme.lower():
        case "bearer" if given:
            return given
        case "basic" if basic and given:
            return _password(given)
        case _:
            raise Unauthorized(HINT)


def _password(encoded: str) -> str:
    """The password of `user:password` in base64. https://www.rfc-editor.org/rfc/rfc7617#section-2"""
    try:
        _, colon, password = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        raise Unauthorized("the basic credentials are not `user:password` in base64") from None
    if not colon or not password:
        raise Unauthorized("send the API key as the password of basic authentication")
    return password
