"""The email addresses that are accepted."""

import re
from typing import Final

from relay.domain.errors import InvalidInput

MAX_LOCAL_PART: Final = 64
"""https://www.rfc-editor.org/rfc/rfc5321#section-4.5.3.1.1"""
MAX_NAME: Final = 100
MAX_ADDRESS: Final = 254
"""The longest that fits into a path of 256 octets. https://www.rfc-editor.org/rfc/rfc5321#section-4.5.3.1.3"""

_address = re.compile(
    r"[a-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[a-z0-9!#$%&'*+/=?^_`{|}~-]+)*"
    r"@(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?",
    re.IGNORECASE | re.ASCII,
)
"""https://www.rfc-editor.org/rfc/rfc5321#section-4.1.2, without quoted local parts and address literals."""


_named = re.compile(r"(?P<name>[^<>]*?)\s*<(?P<address>[^<>]*)>")
_quoted = re.compile(r'"((?:[^"\\]|\\.)*)"')


def parse_sender(field: str, text: str) -> tuple[str, str]:
    """The display name, which may be empty, and the address of `address` or `Name <address>`.

    Raises:
        InvalidInput: names the field.
    """
    named = _named.fullmatch(text.strip())
    if named is None:
        check_address(field, text)
        return "", text
    name = named["name"]
    if (quoted := _quoted.fullmatch(name)) is not None:
        name = re.sub(r"\\(.)", r"\1", quoted[1])
    if len(name) > MAX_NAME or not name.isprintable():
        raise InvalidInput(field, f"must have a name of at most {MAX_NAME} printable characters")
    check_address(field, named["address"])
    return name, named["address"]


def check_address(field: str, address: str) -> None:
    """Reject an address that a mail server may not accept.

    Raises:
        InvalidInput: names the field.
    """
    local_part = address.partition("@")[0]
    if (
        len(address) > MAX_ADDRESS
        or len(local_part) > MAX_LOCAL_PART
        or not _address.fullmatch(address)
        or "." not in address[len(local_part) :]
    ):
        raise InvalidInput(field, "must be an address such as alerts@example.com")
