"""The URL of the database: its scheme, and the password in it."""

import re
from typing import Final
from urllib.parse import quote

from relay.domain.errors import SettingsError

SCHEMES: Final = ("postgresql+asyncpg://", "postgresql://", "postgres://")
_password_parameter = re.compile(r"([?&](?:ssl)?password=)[^&]*", re.IGNORECASE)


def plain_url(url: str | None) -> str | None:
    """Normalize the scheme of a Postgres URL to `postgresql://`.

    Raises:
        SettingsError: it is none.
    """
    if url is None:
        return None
    for scheme in SCHEMES:
        if url.startswith(scheme):
            return "postgresql://" + url.removeprefix(scheme)
    raise SettingsError("RELAY_DATABASE_URL must start with postgresql://")


def with_password(url: str | None, password: str | None) -> str | None:
    """Insert the password into the URL.

    Raises:
        SettingsError: the URL has no user, or a password already.
    """
    if password is None:
        return url
    scheme, _, rest = (url or "").partition("://")
    authority, separator, tail = re.split("([/?]|$)", rest, maxsplit=1)
    user, _, host = authority.rpartition("@")
    if not user or ":" in user:
        raise SettingsError("RELAY_DATABASE_PASSWORD requires a RELAY_DATABASE_URL with a user and no password")
    return f"{scheme}://{user}:{quote(password, safe='')}@{host}{separator}{tail}"


def without_password(url: str) -> str:
    """Mask the passwords in a URL, which may be that of an HTTP proxy."""
    url = _password_parameter.sub(r"\1********", url)
    head, at, tail = url.rpartition("@")
    if not at:
        return url
    scheme, _, credentials = head.partition("://")
    user, colon, _ = credentials.partition(":")
    return f"{scheme}://{user}{colon}{'********' if colon else ''}@{tail}"
