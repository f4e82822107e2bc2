"""Send one test message, now: does the channel work?"""

import secrets
import time
from datetime import UTC, datetime
from typing import Annotated, Final

import msgspec
from litestar import Controller, post
from litestar.di import NamedDependency
from litestar.params import JSONBody

from relay.domain.alerts import Alert, Group, Status, fingerprint
from relay.domain.channel_types import Channel
from relay.domain.fields import require_storable
from relay.domain.notifications import Notification
from relay.domain.outcomes import Reason, Sent
from relay.notify.registry import notifier_for
from relay.notify.sender import Sender
from relay.store.configuration import channels, message_templates
from relay.store.configuration.seal import Seal
from relay.store.postgres.database import Database

MAX_MESSAGE: Final = 2000


class TestRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which channel to test, and what to say."""

    __test__ = False

    channel_id: str
    severity: Annotated[str, msgspec.Meta(min_length=1, max_length=64)] = "info"
    message: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_MESSAGE)] = "This is a test of Alert Relay."


class TestResult(msgspec.Struct, frozen=True):
    """How it went. `detail` is the platform's words; `status_code` is null when no answer came."""

    __test__ = False

    channel_id: str
    delivered: bool
    status_code: int | None
    reason: Reason | None
    detail: str
    duration_ms: float


class TestController(Controller):
    """Tests go past the outbox: what is told is how the platform answers this moment."""

    __test__ = False
    path = "/test"
    tags = ("channels",)

    @post(status_code=200)
    async def send(
        self,
        data: JSONBody[TestRequest],
        database: NamedDependency[Database],
        seal: NamedDependency[Seal],
        sender: NamedDependency[Sender],
    ) -> TestResult:
        """Really send one message to a channel, enabled or not, and say what the platform answered."""
        require_storable(data.channel_id, "channel_id")
        async with database.begin() as connection:
            channel = await channels.get(connection, data.channel_id, seal)
            template = await message_templates.for_channel(connection, channel)
        started = time.perf_counter()
        outcome = await sender.attempt(
            notifier_for(channel), channel, _notification(data, channel), template=template
        )
        return TestResult(
            channel_id=channel.id,
            delivered=isinstance(outcome, Sent),
            status_code=outcome.status_code,
            reason=None if isinstance(outcome, Sent) else outcome.reason,
            detail=outcome.detail or "",
            duration_ms=round((time.perf_counter() - started) * 1000, 1),
        )


def _notification(test: TestRequest, channel: Channel) -> Notification:
    labels = {"alertname": "AlertRelayTest", "severity": test.severity, "channel_id": channel.id}
    alert = Alert(
        status=Status.FIRING,
        labels=labels,
        annotations={"summary": test.message},
        starts_at=datetime.now(UTC),
        ends_at=None,
        generator_url="",
        fingerprint=fingerprint(labels),
    )
    group = Group(
        group_key='{}:{alertname="AlertRelayTest"}',
        receiver="",
        alerts=(alert,),
        group_labels={"alertname": "AlertRelayTest"},
        common_labels=labels,
        common_annotations=alert.annotations,
        external_url="",
        truncated=0,
    )
    # Another id each time: a receiver leaves out what it has seen before.
    return Notification(id=f"test_{secrets.token_hex(8)}", channel_id=channel.id, group=group, alerts=(alert,))
