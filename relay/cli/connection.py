"""The connection of a command to the API."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from relay.cli.server import find_server
from relay.settings import load

if TYPE_CHECKING:
    from relay.cli.client import Client


@asynccontextmanager
async def connect() -> "AsyncIterator[Client]":
    """A client of the API that the settings name.

    Raises:
        SettingsError: the settings name no server, or no key for it.
    """
    from relay.cli.client import Client  # imports aiohttp, which takes a third of a second; --help needs no client

    async with Client(find_server(load())) as client:
        yield client
