"""Settings. This module is the only reader of the environment."""

import ipaddress
import os
import pathlib
from collections.abc import Mapping
from typing import Any, Final

import msgspec
import platformdirs

from relay.database_url import plain_url, with_password, without_password
from relay.domain.client_address import Network, is_loopback
from relay.domain.errors import SettingsError
from relay.domain.grants import parse_grants
from relay.domain.severities import parse_table
from relay.settings_checks import QUOTAS, check_tokens

PREFIX: Final = "RELAY_"
FILE: Final = "_FILE"
"""Suffix of a variable with the path of a file that contains the value, as for container secrets."""
CHILD_VARIABLES: Final = ("PATH", "LD_LIBRARY_PATH", "LANG", "LC_ALL", "TZ")
SECRET: Final = frozenset({"database_password", "secret_key", "admin_key", "webhook_token", "key", "jwt_secret"})
LISTS: Final = ("allowed_targets", "trusted_proxies", "no_proxy", "auth_proxies", "jwt_algorithms")
ROOT_DATA_DIR: Final = pathlib.Path("/var/lib/alert-relay")


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The settings. Each field is an environment variable: `RELAY_` and the field's name in upper case.

    A value can also be read from a file, see `FILE`. Durations are in seconds.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    database_url: str | None = None
    """None: the embedded Postgres in `data_dir`."""
    database_password: str | None = None
    """Inserted into `database_url`, so that the URL contains no secret."""
    data_dir: pathlib.Path
    secret_key: str | None = None
    """Keys that encrypt secrets, 32 bytes each in URL-safe base64, separated by commas. The first one encrypts."""
    admin_key: str | None = None
    webhook_token: str | None = None
    """If set, the webhook requires it as a bearer token or as the password of basic authentication."""
    webhook_open: bool = False
    """Whether the webhook accepts alerts without a credential beyond loopback."""
    ingest_rate: float = 100.0
    """Webhooks per second of one ingest key, in one process."""
    jwt_jwks_url: str | None = None
    """The URL of the keys with which another application signs tokens that the API accepts."""
    jwt_secret: str | None = None
    """In place of `jwt_jwks_url`: the secret that the application and the relay share."""
    jwt_algorithms: tuple[str, ...] = ()
    """The only algorithms of tokens; by default RS256 with keys from a URL, and HS256 with a secret."""
    jwt_issuer: str | None = None
    jwt_audience: str | None = None
    jwt_leeway: int = 30
    """By how much the clocks of the application and the relay may differ."""
    jwt_role_claim: str = "role"
    """A path such as `realm_access.roles`, or the name of a claim with dots; so are the next two."""
    jwt_tenants_claim: str = "tenant_id"
    jwt_name_claim: str = "name"
    auth_roles: str = ""
    """The relay's roles by those of the application: `platform-admin=admin:*,ops=operator`."""
    auth_proxies: tuple[str, ...] = ()
    """Addresses and networks of authenticating proxies, whose headers name the user."""
    tenant_label: str = "tenant_id"
    allowed_targets: tuple[str, ...] = ()
    """Networks and hosts that channels may use although they are private or use plain HTTP."""
    proxy: str | None = None
    """The HTTP proxy for all platforms but email and Apprise: `http://[user:password@]host[:port]`."""
    no_proxy: tuple[str, ...] = ()
    """Hosts, addresses and networks that are connected to without the proxy."""
    external_url: str | None = None
    """The URL at which users reach this relay; by default derived from host and port."""
    repeat_after: float = 60.0
    """The same state of a group is a duplicate within this time, and a deliberate repeat after it."""
    stale_after: float = 90_000.0
    """The time without a report after which an alert is stale; above Alertmanager's usual repeat_interval."""
    trusted_proxies: tuple[str, ...] = ()
    """Addresses and networks of proxies whose X-Forwarded-For names the sender of a webhook."""
    severities: str = ""
    """Additions to the table of severities: `gold=critical,silver=warning`."""
    max_connections: int = 1000
    """HTTP connections of the process; one above it gets 503."""
    tenant_max_channels: int = 100
    tenant_max_templates: int = 100
    """Templates of each type that a tenant may have."""
    tenant_max_silences: int = 1_000
    """Silences of a tenant that have not ended."""
    digest_after: float = 10.0
    """Pending groups are merged into a digest if the channel's rate limit would need longer than this for them."""
    give_up_after: float = 86_400.0
    """The time after which a delivery expires."""
    give_up_resolved_after: float = 3_600.0
    """The time after which a delivery expires if its alerts are resolved and their firing was never sent."""
    fallback_after: float = 300.0
    """How long a circuit breaker is open before the channel's pending deliveries go to its fallback."""
    send_timeout: float = 15.0
    """The timeout of one attempt."""
    shutdown_timeout: float = 10.0
    """How long a shutdown waits for attempts in progress."""
    log_format: str = "console"
    log_level: str = "info"
    url: str | None = None
    key: str | None = None
    """The URL of the API, and the API key, for the command line."""

    def __repr__(self) -> str:
        """Mask secrets."""
        return f"Settings({masked_values(self)})"

    @property
    def embedded(self) -> bool:
        """Whether the relay runs its own Postgres."""
        return self.database_url is None

    @property
    def on_loopback(self) -> bool:
        """Whether only this machine can connect."""
        return is_loopback(self.host)

    @property
    def webhook_is_open(self) -> bool:
        """Whether the webhook accepts alerts without a credential."""
        return self.webhook_open or (self.webhook_token is None and self.on_loopback)

    @property
    def trusted_networks(self) -> tuple[Network, ...]:
        """The networks of trusted proxies."""
        return _networks(self.trusted_proxies)

    @property
    def auth_networks(self) -> tuple[Network, ...]:
        """The networks of authenticating proxies."""
        return _networks(self.auth_proxies)

    @property
    def base_url(self) -> str:
        """The URL at which users reach this relay, without a trailing slash."""
        return (self.external_url or http_url(self.host, self.port)).rstrip("/")

    @property
    def secret_key_file(self) -> pathlib.Path:
        """The file with the secret key of an embedded server."""
        return self.data_dir / "secret.key"

    @property
    def admin_key_file(self) -> pathlib.Path:
        """The file with the admin key of an embedded server, which the command line on the same machine reads."""
        return self.data_dir / "admin.key"

    @property
    def server_file(self) -> pathlib.Path:
        """The file with the address of an embedded server, as `{"url": …}`."""
        return self.data_dir / "server.json"


def load(environ: Mapping[str, str] | None = None, **overrides: Any) -> Settings:
    """Read the settings from the environment. Overrides that are None are ignored.

    Raises:
        SettingsError: a variable is invalid; names it.
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
        raise SettingsError("RELAY_DATA_DIR refers to the home directory of a user that does not exist") from None
    for name in LISTS:
        if isinstance(items := given.get(name), str):
            given[name] = tuple(part.strip() for part in items.split(",") if part.strip())
    settings = _convert(given)
    _check(settings)
    url = with_password(plain_url(settings.database_url), settings.database_password)
    return msgspec.structs.replace(settings, database_url=url, jwt_algorithms=_check_tokens(settings))


def child_environment(*others: str) -> dict[str, str]:
    """The environment of a child process: what programs need, and nothing that may be a secret."""
    return {name: value for name in (*CHILD_VARIABLES, *others) if (value := os.environ.get(name)) is not None}


def http_url(host: str, port: int) -> str:
    """Return the URL to connect to, for an address to listen on."""
    reachable = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, host)  # noqa: S104 - a comparison
    return f"http://{f'[{reachable}]' if ':' in reachable and not reachable.startswith('[') else reachable}:{port}"


def default_data_dir() -> pathlib.Path:
    """Return the user's data directory; for root, a directory that the database's system user can access."""
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        return ROOT_DATA_DIR
    return platformdirs.user_data_path("alert-relay")


def masked_values(settings: Settings) -> dict[str, str]:
    """Return the settings by variable name, with secrets masked."""
    values: dict[str, str] = {}
    for name in Settings.__struct_fields__:
        value = getattr(settings, name)
        if value is None:
            text = ""
        elif name in SECRET:
            text = "********"
        elif name in ("database_url", "proxy", "jwt_jwks_url"):
            text = without_password(value)
        elif isinstance(value, tuple):
            text = ",".join(value)
        else:
            text = str(value)
        values[PREFIX + name.upper()] = text
    return values


def _read(environ: Mapping[str, str], variable: str) -> str:
    """Return a variable's value, or the content of the file in its `_FILE` variable; empty if neither is set."""
    value, path = environ.get(variable, ""), environ.get(variable + FILE, "")
    if not path:
        return value
    if value:
        raise SettingsError(f"{variable} and {variable}{FILE} are both set; remove one of them")
    try:
        text = pathlib.Path(path).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise SettingsError(f"{variable}{FILE}: {path} can't be read: {error.strerror}") from None
    except ValueError:
        raise SettingsError(f"{variable}{FILE}: {path!r} is not a text file") from None
    if not text:
        # An empty token would be treated as unset and disable authentication.
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
            raise SettingsError(f"{PREFIX}{name.upper()} is invalid: {error}") from None
    return Settings(**given)


def _check(settings: Settings) -> None:
    for name, least, most in (("port", 0, 65_535), ("max_connections", 1, 100_000), *QUOTAS):
        if not least <= getattr(settings, name) <= most:
            raise SettingsError(f"RELAY_{name.upper()} must be between {least} and {most}")
    if settings.log_format not in ("console", "json"):
        raise SettingsError("RELAY_LOG_FORMAT must be console or json")
    if settings.log_level not in ("debug", "info", "warning", "error"):
        raise SettingsError("RELAY_LOG_LEVEL must be debug, info, warning or error")
    if not settings.tenant_label:
        raise SettingsError("RELAY_TENANT_LABEL must not be empty")
    if settings.send_timeout == 0:
        raise SettingsError("RELAY_SEND_TIMEOUT must be greater than 0 seconds")
    for name in ("trusted_proxies", "auth_proxies"):
        try:
            _networks(getattr(settings, name))
        except ValueError as error:
            raise SettingsError(f"RELAY_{name.upper()} is invalid: {error}") from None
    parse_table(settings.severities)
    parse_grants(settings.auth_roles)
    _check_durations(settings)


def _check_durations(settings: Settings) -> None:
    if not 0 < settings.stale_after <= 366 * 86400:
        raise SettingsError("RELAY_STALE_AFTER must be greater than 0 and at most 31622400 seconds (a year)")
    durations = (
        *("repeat_after", "digest_after", "give_up_after", "give_up_resolved_after", "fallback_after"),
        *("send_timeout", "shutdown_timeout"),
    )
    for name in durations:
        if not 0 <= getattr(settings, name) <= 7 * 86400:
            raise SettingsError(f"RELAY_{name.upper()} must be between 0 and 604800 seconds (one week)")


def _check_tokens(settings: Settings) -> tuple[str, ...]:
    """The algorithms of tokens, those by default included."""
    return check_tokens(
        jwks_url=settings.jwt_jwks_url,
        secret=settings.jwt_secret,
        algorithms=settings.jwt_algorithms,
        issuer=settings.jwt_issuer,
        audience=settings.jwt_audience,
        leeway=settings.jwt_leeway,
    )


def _networks(texts: tuple[str, ...]) -> tuple[Network, ...]:
    return tuple(ipaddress.ip_network(text, strict=False) for text in texts)
