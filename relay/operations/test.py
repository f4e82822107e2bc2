"""Send one test message to a channel immediately, without the outbox."""

import secrets
import time
from datetime import UTC, datetime
from typing import Annotated, Final

import msgspec

from relay.domain.alerts import Alert, Group, Status, fingerprint
from relay.domain.channel_types import Channel
from relay.domain.fields import require_storable
from relay.domain.notifications import Notification
from relay.domain.outcomes import Reason, Sent
from relay.domain.principals import Tenants
from relay.notify.registry import notifier_for
from relay.operations.context import OperationContext
from relay.store.configuration import channels, message_templates

MAX_MESSAGE: Final = 2000


class TestRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The channel to test, and the severity and summary of the test alert."""

    __test__ = False

    channel_id: str
    severity: Annotated[str, msgspec.Meta(min_length=1, max_length=64)] = "info"
    message: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_MESSAGE)] = "This is a test of Alert Relay."


class TestResult(msgspec.Struct, frozen=True):
    """The result of a test. `detail` is the platform's response; `status_code` is null without a response."""

    __test__ = False

    channel_id: str
    delivered: bool
    status_code: int | None
    reason: Reason | None
    detail: str
    duration_ms: float


async def send_test(context: OperationContext, request: TestRequest, tenants: Tenants) -> TestResult:
    """Send one test message to a channel of the tenants, enabled or not, and return the platform's response.

    Raises:
        NotFound: there is no such channel.
    """
    require_storable(request.channel_id, "channel_id")
    async with context.database.begin() as connection:
        channel = await channels.get(connection, request.channel_id, context.seal, tenants)
        template = await message_templates.for_channel(connection, channel)
    started = time.perf_counter()
    outcome = await context.sender.attempt(
        notifier_for(channel), channel, _notification(request, channel), template=template
    )
    return TestResult(
        channel_id=channel.id,
        delivered=isinstance(outcome, Sent),
        status_code=outcome.status_code,
        reason=None if isinstance(outcome, Sent) else outcome.reason,
        detail=outcome.detail or "",
        duration_ms=round((time.perf_counter() - started) * 1000, 1),
    )


def _notification(request: TestRequest, channel: Channel) -> Notification:
    labels = {"alertname": "AlertRelayTest", "severity": request.severity, "channel_id": channel.id}
    alert = Alert(
        status=Status.FIRING,
        labels=labels,
        annotations={"summary": request.message},
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
    # A new id for each test: receivers deduplicate by id.
    return Notification(id=f"test_{secrets.token_hex(8)}", channel_id=channel.id, group=group, alerts=(alert,))
