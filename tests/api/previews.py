"""What do the tests of previews share: a platform of any kind, and how to ask?"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

from relay.domain.channel_types import AppriseChannel, BaseChannel, EmailChannel, type_name
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

Kind = type[BaseChannel]
every_kind = pytest.mark.parametrize("kind", NOTIFIERS, ids=type_name)


class Platform:
    """Where a channel of a kind leads, and the bodies that came there, without what only the moment adds."""

    def __init__(self, kind: Kind, settings: dict[str, Any], arrived: Any) -> None:
        self.channel: dict[str, Any] = msgspec.to_builtins(channel(kind, **settings, rate_limit=FAST))
        self.secrets = [str(self.channel[name]) for name in kind.SECRET if self.channel.get(name)]
        self._arrived = arrived

    @property
    def bodies(self) -> list[str]:
        """What came, with the secrets masked as a preview masks them."""
        bodies: list[str] = self._arrived()
        for secret in self.secrets:
            bodies = [body.replace(secret, MASK) for body in bodies]
        return bodies


@asynccontextmanager
async def platform(kind: Kind, sink: Sink) -> AsyncIterator[Platform]:
    url = f"{sink.url}/services/{TOKEN}"
    if kind is EmailChannel:
        async with mail_server(auth_require_tls=False) as server:
            settings: dict[str, Any] = {
                "smtp_host": "127.0.0.1",
                "smtp_port": server.port,
                "smtp_security": "none",
                "smtp_username": LOGIN[0],
                "smtp_password": LOGIN[1],
            }
            yield Platform(kind, settings, lambda: [_undated(one.content.decode()) for one in server.arrived])
    elif kind is AppriseChannel:
        told = ("title", "message")
        yield Platform(
            kind, {"url": url}, lambda: ["\n".join(one.json[name] for name in told) for one in sink.received]
        )
    else:
        yield Platform(kind, {"url": url}, lambda: [one.body.decode() for one in sink.received])


def _undated(mail: str) -> str:
    date, _, rest = mail.partition("\r\n")
    assert date.startswith("Date: ")
    return rest


async def preview(relay: Relay, **asked: Any) -> dict[str, Any]:
    answer = await relay.call("POST", "/preview", json=asked)
    assert answer.status == 200, answer.body
    result: dict[str, Any] = answer.json
    return result


def bodies(result: dict[str, Any]) -> list[str]:
    """What the requests say, in the form in which `Platform` gives it."""
    return [
        f"{one['title']}\n{one['body']}" if one["kind"] == "apprise" else one["body"] for one in result["requests"]
    ]


def odd_group() -> dict[str, Any]:
    resolved = alert("DiskFull", status="resolved", instance="db-2")
    return webhook(alert(severity="critical", **ODD), alert("DiskFull", instance="db-1"), resolved)


def large_group() -> dict[str, Any]:
    alerts = [alert("DiskFull", instance=f"db-{at}") for at in range(80)]
    for one in alerts:
        one["annotations"]["description"] = "The disk is almost full. " * 40
    return webhook(*alerts)
