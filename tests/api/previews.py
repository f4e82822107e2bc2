"""Helpers of the preview tests: a platform for each channel type, and calls of the API."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

from relay.domain.channel_types import AppriseChannel, BaseChannel, EmailChannel, SlackChannel, type_name
from relay.notify.registry import NOTIFIERS
from tests.fixtures.mail_server import LOGIN, mail_server
from tests.fixtures.relays import Relay, alert, webhook
from tests.fixtures.sink import Sink
from tests.notify.factories import channel

MASK = "********"
TOKEN = "Zk7w-Rb2_nPqY5uHs9gD4eFm"
FAST = {"per_second": 1000, "burst": 1000}
HOOK = {"name": "Ops", "channel_type": "webhook"}
ODD = {"emoji": "🔥👩‍🚒", "rtl": "שלום", "html": "<b>&amp;", "ping": "<!channel> @everyone", "quote": '"\\'}

ChannelClass = type[BaseChannel]
every_channel_type = pytest.mark.parametrize("channel_class", NOTIFIERS, ids=type_name)
FAST_LARGE = {SlackChannel, EmailChannel}
"""A type that sends a large group in several messages, and one that sends it in one."""
every_channel_type_large = pytest.mark.parametrize(
    "channel_class",
    [
        channel_class if channel_class in FAST_LARGE else pytest.param(channel_class, marks=pytest.mark.slow)
        for channel_class in NOTIFIERS
    ],
    ids=type_name,
)


class Platform:
    """The destination of a channel, and the bodies that it received, without their dates."""

    def __init__(self, channel_class: ChannelClass, settings: dict[str, Any], received: Any) -> None:
        self.channel: dict[str, Any] = msgspec.to_builtins(channel(channel_class, **settings, rate_limit=FAST))
        self.secrets = [str(self.channel[name]) for name in channel_class.SECRET if self.channel.get(name)]
        self._arrived = received

    @property
    def bodies(self) -> list[str]:
        """The bodies, with secrets masked as in a preview."""
        bodies: list[str] = self._arrived()
        for secret in self.secrets:
            bodies = [body.replace(secret, MASK) for body in bodies]
        return bodies


@asynccontextmanager
async def platform(channel_class: ChannelClass, sink: Sink) -> AsyncIterator[Platform]:
    url = f"{sink.url}/services/{TOKEN}"
    if channel_class is EmailChannel:
        async with mail_server(auth_require_tls=False) as server:
            settings: dict[str, Any] = {
                "smtp_host": "127.0.0.1",
                "smtp_port": server.port,
                "smtp_security": "none",
                "smtp_username": LOGIN[0],
                "smtp_password": LOGIN[1],
            }
            yield Platform(
                channel_class, settings, lambda: [_undated(one.content.decode()) for one in server.arrived]
            )
    elif channel_class is AppriseChannel:
        parts = ("title", "message")
        yield Platform(
            channel_class,
            {"url": url},
            lambda: ["\n".join(request.json[name] for name in parts) for request in sink.received],
        )
    else:
        yield Platform(channel_class, {"url": url}, lambda: [request.body.decode() for request in sink.received])


def _undated(mail: str) -> str:
    date, _, rest = mail.partition("\r\n")
    assert date.startswith("Date: ")
    return rest


async def preview(relay: Relay, **request: Any) -> dict[str, Any]:
    response = await relay.call("POST", "/preview", json=request)
    assert response.status == 200, response.body
    result: dict[str, Any] = response.json
    return result


def bodies(result: dict[str, Any]) -> list[str]:
    """The bodies of the requests, in the form of `Platform.bodies`."""
    return [
        f"{request['title']}\n{request['body']}" if request["kind"] == "apprise" else request["body"]
        for request in result["requests"]
    ]


def odd_group() -> dict[str, Any]:
    resolved = alert("DiskFull", status="resolved", instance="db-2")
    return webhook(alert(severity="critical", **ODD), alert("DiskFull", instance="db-1"), resolved)


def large_group() -> dict[str, Any]:
    alerts = [alert("DiskFull", instance=f"db-{at}") for at in range(80)]
    for item in alerts:
        item["annotations"]["description"] = "The disk is almost full. " * 40
    return webhook(*alerts)
