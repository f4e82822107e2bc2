"""Explain what became of an alert for channels, from the history and the configuration in force then."""

import asyncio
from typing import Final

import msgspec

from relay.domain.errors import NotFound
from relay.domain.principals import Tenants
from relay.domain.why import ChannelExplanation, ExplainedAlert, Verdict, Why
from relay.operations.context import OperationContext
from relay.route.explanations import Explainer
from relay.store.postgres.database import driver_connection
from relay.store.reports import history, why

MAX_CHANNELS: Final = 1_000
"""Channels that the history of an alert lists."""
LAST: Final = (Verdict.NOT_MATCHED, Verdict.DISABLED, Verdict.UNKNOWN, Verdict.ABSENT)
"""The verdicts of the channels that are listed last, in this order."""


async def explain_alert(context: OperationContext, alert_id: int, tenants: Tenants) -> ExplainedAlert:
    """Return an alert with its timeline, and what became of it for each channel of the tenants.

    Raises:
        NotFound: there is no such alert.
    """
    async with context.database.begin() as connection:
        detail = await history.get(connection, alert_id, tenants)
        evidence = await why.load(await driver_connection(connection), alert_id, tenants)

    def explain() -> list[ChannelExplanation]:
        explainer = Explainer(evidence, tenants, context.tenant_label)
        return sorted(map(explainer.channel, explainer.channel_ids()), key=_place)

    explained = await asyncio.to_thread(explain)  # there may be many channels
    return ExplainedAlert(
        **msgspec.structs.asdict(detail),
        channels=tuple(explained[:MAX_CHANNELS]),
        channels_omitted=max(0, len(explained) - MAX_CHANNELS),
    )


async def explain_channel(context: OperationContext, alert_id: int, channel_id: str, tenants: Tenants) -> Why:
    """Return what became of an alert for one channel, and in each webhook.

    Raises:
        NotFound: there is no such alert or channel.
    """
    async with context.database.begin() as connection:
        evidence = await why.load(await driver_connection(connection), alert_id, tenants, channel_id)
    explainer = Explainer(evidence, tenants, context.tenant_label)
    if not explainer.sees(channel_id):
        raise NotFound(f"there is no channel {channel_id!r}")
    return Why(
        **msgspec.structs.asdict(explainer.channel(channel_id)),
        alert_id=alert_id,
        webhooks=tuple(explainer.webhooks(channel_id)),
    )


def _place(explained: ChannelExplanation) -> tuple[int, str]:
    last = LAST.index(explained.verdict) + 1 if explained.verdict in LAST else 0
    return last, explained.channel_id
