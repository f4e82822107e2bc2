"""What a relay must have that others can connect to: long secrets, and a credential for its webhook."""

from typing import Final

from relay.domain.errors import SettingsError
from relay.settings import Settings
from relay.store.configuration import api_keys
from relay.store.postgres.database import Database

MIN_SECRET: Final = 16
"""Characters; `relay secret` prints 44."""


def require_long_secrets(settings: Settings) -> None:
    """Refuse secrets that can be guessed, on a listener beyond loopback.

    Raises:
        SettingsError: names the variable.
    """
    if settings.on_loopback:
        return
    for variable, secret in (
        ("RELAY_ADMIN_KEY", settings.admin_key),
        ("RELAY_WEBHOOK_TOKEN", settings.webhook_token),
    ):
        if secret is not None and len(secret) < MIN_SECRET:
            raise SettingsError(
                f"{variable} has fewer than {MIN_SECRET} characters, and {settings.host} is not loopback; "
                "generate one with `relay secret`"
            )


async def require_webhook_credential(settings: Settings, database: Database) -> None:
    """Refuse a listener beyond loopback whose webhook nobody could use, or everybody.

    Raises:
        SettingsError: says what to set.
    """
    if settings.webhook_is_open or settings.webhook_token is not None:
        return
    async with database.begin() as connection:
        if await api_keys.has_ingest_key(connection):
            return
    raise SettingsError(
        f"{settings.host} is not loopback, and the webhook has no credential: set RELAY_WEBHOOK_TOKEN, create an "
        "ingest key with `relay keys create --direct --role ingest --name NAME`, or set RELAY_WEBHOOK_OPEN=1 to "
        "accept alerts from everyone who can connect"
    )
