"""What is configured? The only reader of the environment."""

import os
import pathlib
import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

import msgspec
import platformdirs

from relay.domain.errors import SettingsError

PREFIX: Final = "RELAY_"
FILE: Final = "_FILE"
"""At the end of a variable's name: it names a file that holds the value, as container engines give secrets."""
SECRET: Final = frozenset({"database_password", "secret_key", "admin_key", "webhook_token", "key"})
DATABASE_SCHEMES: Final = ("postgresql+asyncpg://", "postgresql://", "postgres://")
ROOT_DATA_DIR: Final = pathlib.Path("/var/lib/alert-relay")
_password_parameter = re.compile(r"([?&](?:ssl)?password=)[^&]*", re.IGNORECASE)


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """One value for each environment variable, `RELAY_` and the field's name in capitals.

    Each may be read from a file instead, see `FILE`. Durations are in seconds.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    database_url: str | None = None
    """None: the embedded Postgres under `data_dir`."""
    database_password: str | None = None
    """Goes into `database_url`, so that the URL need not be secret."""
    data_dir: pathlib.Path
    secret_key: str | None = None
    """Keys that seal secrets, 32 bytes each in URL-safe base64, separated by commas; the first one seals."""
    admin_key: str | None = None
    webhook_token: str | None = None
    """When set, the webhook wants `Authorization: Bearer` with it."""
    tenant_label: str = "tenant_id"
    allowed_targets: tuple[str, ...] = ()
    """Networks and hosts that channels may point at although they are private, or speak plain HTTP."""
    external_url: str | None = None
    """Where people reach this relay; by default made from host and port."""
    repeat_after: float = 60.0
    """The same state of the same group within this time is a duplicate, after it a deliberate repeat."""
    digest_after: float = 10.0
    """When more groups wait than a channel's limit lets through in this time, they are told as one digest."""
    give_up_after: float = 86_400.0
    """How long a delivery is tried before it is dead."""
    give_up_resolved_after: float = 3_600.0
    """The same for what is resolved by now and whose firing was never told."""
    fallback_after: float = 300.0
    """How long a channel's circuit breaker is open before what waits goes to its fallback."""
    send_timeout: float = 15.0
    """How long one attempt at a platform may take."""
    shutdown_timeout: float = 10.0
    """How long a stop waits for what is being sent."""
    log_format: str = "console"
    log_level: str = "info"
    url: str | None = None
    """Where the command line finds the API."""
    key: str | None = None
    """The key that the command line sends."""

    def __repr__(self) -> str:
        """Show no secret."""
        return f"Settings({masked_values(self)})"

    @property
    def embedded(self) -> bool:
        """Whether the relay runs its own Postgres."""
        return self.database_url is None

    @property
    def base_url(self) -> str:
        """Where people reach this relay, without a slash at the end."""
        return (self.external_url or http_url(self.host, self.port)).rstrip("/")

    @property
    def secret_key_file(self) -> pathlib.Path:
        """Where an embedded server keeps the key that seals."""
        return self.data_dir / "secret.key"

    @property
    def admin_key_file(self) -> pathlib.Path:
        """Where an embedded server keeps its admin key; the command line on the same machine reads it."""
        return self.data_dir / "admin.key"

    @property
    def server_file(self) -> pathlib.Path:
        """Where an embedded server leaves word of its address, as `{"url": …}`."""
        return self.data_dir / "server.json"


def load(environ: Mapping[str, str] | None = None, **overrides: Any) -> Settings:
    """Read the settings from the environment; overrides that are None count as left out.

    Raises:
        SettingsError: names the variable that is wrong.
    """
    environ = os.environ if environ is None else environ
    given: dict[str, Any] = {
        name: text for name in Settings.__struct_fields__ if (text := _read(environ, PREFIX + name.upper()))
    }
    given |= {name: value for name, value in overrides.items() if value is not None}
    given.setdefault("data_dir", default_data_dir())
    try:
        given["data_dir"] = pathlib.Path(given["data_dir"]).expanduser().absolute()
    except RuntimeError:
        raise SettingsError("RELAY_DATA_DIR names the home of a user that does not exist") from None
    if isinstance(targets := given.get("allowed_targets"), str):
        given["allowed_targets"] = tuple(part.strip() for part in targets.split(",") if part.strip())
    settings = _convert(given)
    _check(settings)
    url = _with_password(_plain_url(settings.database_url), settings.database_password)
    return msgspec.structs.replace(settings, database_url=url)


def http_url(host: str, port: int) -> str:
    """An address to connect to, for one to listen on."""
    reachable = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, host)  # noqa: S104 - it is a comparison
    return f"http://{f'[{reachable}]' if ':' in reachable and not reachable.startswith('[') else reachable}:{port}"


def default_data_dir() -> pathlib.Path:
    """The user's data directory; root's is a folder that the database's own user can reach."""
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        return ROOT_DATA_DIR
    return platformdirs.user_data_path("alert-relay")


def masked_values(settings: Settings) -> dict[str, str]:
    """The settings by variable name, secrets masked, for people."""
    values: dict[str, str] = {}
    for name in Settings.__struct_fields__:
        value = getattr(settings, name)
        if value is None:
            text = ""
        elif name in SECRET:
            text = "********"
        elif name == "database_url":
            text = _without_password(value)
        elif isinstance(value, tuple):
            text = ",".join(value)
        else:
            text = str(value)
        values[PREFIX + name.upper()] = text
    return values


def _read(environ: Mapping[str, str], variable: str) -> str:
    """A variable's value, or what is in the file that its twin names; empty when neither is set."""
    value, path = environ.get(variable, ""), environ.get(variable + FILE, "")
    if not path:
        return value
    if value:
        raise SettingsError(f"{variable} and {variable}{FILE} are both set; keep one of them")
    try:
        text = pathlib.Path(path).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise SettingsError(f"{variable}{FILE}: {path} can't be read: {error.strerror}") from None
    except ValueError:
        raise SettingsError(f"{variable}{FILE}: {path!r} is no text file") from None
    if not text:
        # An empty token would be none, and leave open what it was meant to close.
        raise SettingsError(f"{variable}{FILE}: {path} is empty")
    return text


def _convert(given: dict[str, Any]) -> Settings:
    for name, value in given.items():
        try:
            field_type = Settings.__annotations__[name]
            given[name] = (
                value if isinstance(value, pathlib.Path) else msgspec.convert(value, field_type, strict=False)
            )
        except msgspec.ValidationError as error:
            raise SettingsError(f"{PREFIX}{name.upper()} is wrong: {error}") from None
    return Settings(**given)


def _check(settings: Settings) -> None:
    if not 0 <= settings.port <= 65535:
        raise SettingsError("RELAY_PORT must be between 0 and 65535")
    if settings.log_format not in ("console", "json"):
        raise SettingsError("RELAY_LOG_FORMAT must be console or json")
    if settings.log_level not in ("debug", "info", "warning", "error"):
        raise SettingsError("RELAY_LOG_LEVEL must be debug, info, warning or error")
    if not settings.tenant_label:
        raise SettingsError("RELAY_TENANT_LABEL must not be empty")
    if settings.send_timeout == 0:
        raise SettingsError("RELAY_SEND_TIMEOUT must be more than 0 seconds")
    durations = (
        *("repeat_after", "digest_after", "give_up_after", "give_up_resolved_after", "fallback_after"),
        *("send_timeout", "shutdown_timeout"),
    )
    for name in durations:
        if not 0 <= getattr(settings, name) <= 7 * 86400:
            raise SettingsError(f"RELAY_{name.upper()} must be seconds between 0 and a week")


def _plain_url(url: str | None) -> str | None:
    """The three spellings of a Postgres URL as one, `postgresql://`."""
    if url is None:
        return None
    for scheme in DATABASE_SCHEMES:
        if url.startswith(scheme):
            return "postgresql://" + url.removeprefix(scheme)
    raise SettingsError("RELAY_DATABASE_URL must start with postgresql://")


def _with_password(url: str | None, password: str | None) -> str | None:
    """The URL of a user with the password that is given beside it."""
    if password is None:
        return url
    scheme, _, rest = (url or "").partition("://")
    authority, separator, tail = re.split("([/?]|$)", rest, maxsplit=1)
    user, _, host = authority.rpartition("@")
    if not user or ":" in user:
        raise SettingsError("RELAY_DATABASE_PASSWORD wants a RELAY_DATABASE_URL with a user and no password")
    return f"{scheme}://{user}:{quote(password, safe='')}@{host}{separator}{tail}"


def _without_password(url: str) -> str:
    url = _password_parameter.sub(r"\1********", url)
    head, at, tail = url.rpartition("@")
    if not at:
        return url
    scheme, _, credentials = head.partition("://")
    user, colon, _ = credentials.partition(":")
    return f"{scheme}://{user}{colon}{'********' if colon else ''}@{tail}"
