"""Explain routing: evaluate the filters of every channel for given alerts, without storing or sending anything."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from relay.domain.alertmanager import decode_webhook
from relay.domain.alerts import Alert
from relay.domain.channel_types import Filters
from relay.domain.errors import InvalidInput
from relay.domain.identity import require_source
from relay.domain.principals import Principal, Tenants, sees
from relay.domain.recurrence import window_at
from relay.domain.silences import Silence
from relay.domain.why import Suppressor
from relay.operations.context import OperationContext
from relay.operations.drafts import draft_channels, draft_silences
from relay.route.reasons import mismatch_reason
from relay.route.silences import SilenceTable, governs
from relay.store.configuration import channels
from relay.store.configuration.silences_at import load_silences_at
from relay.store.postgres.database import driver_connection


class ChannelVerdict(msgspec.Struct, frozen=True):
    """Whether a channel matches an alert. `reason` names the filter that stops it, or is null.

    `suppressed_by` has the silences that keep an alert from a channel that matches it.
    """

    channel_id: str
    matched: bool
    reason: str | None
    suppressed_by: list[Suppressor]


class AlertVerdict(msgspec.Struct, frozen=True):
    """One alert and the verdict of each channel."""

    labels: dict[str, str]
    channels: list[ChannelVerdict]


class RouteResult(msgspec.Struct, frozen=True):
    """The alerts of the request, in the same order."""

    alerts: list[AlertVerdict]


class DryRun(msgspec.Struct, frozen=True, kw_only=True):
    """What alerts of a source are routed with: channels and silences by id, of which the tenants see some."""

    source: str
    at: datetime
    tenant_label: str
    channels: Mapping[str, Filters]
    silences: Mapping[str, Silence]
    tenants: Tenants

    def verdicts(self, alerts: tuple[Alert, ...]) -> list[AlertVerdict]:
        """The verdict of each channel for each alert."""
        table = SilenceTable(0, self.silences)
        return [self._verdict(alert, table.matching(alert.labels)) for alert in alerts]

    def _verdict(self, alert: Alert, silences: list[Silence]) -> AlertVerdict:
        active = [(silence, window) for silence in silences if (window := window_at(silence, self.at))]
        found = []
        for channel_id, filters in self.channels.items():
            reason = mismatch_reason(alert, filters, self.tenant_label, self.source)
            suppressed_by = [
                self._suppressor(silence, window[0])
                for silence, window in active
                if reason is None and governs(silence, channel_id, filters.tenant_id)
            ]
            found.append(ChannelVerdict(channel_id, reason is None, reason, suppressed_by))
        return AlertVerdict(alert.labels, found)

    def _suppressor(self, silence: Silence, since: datetime) -> Suppressor:
        visible = sees(self.tenants, silence.tenant_id)
        return Suppressor(
            kind="silence",
            id=silence.id,
            comment=silence.comment if visible else None,
            created_by=silence.created_by if visible else None,
            since=since,
        )


async def explain_routing(context: OperationContext, body: dict[str, Any], principal: Principal) -> RouteResult:
    """Return for each alert whether each channel that the principal sees matches, and which silences apply.

    Args:
        body: the labels of one alert, `{"labels": {…}}`, or a whole webhook body. Also `source`, that of the
            alerts; `at`, the time; `channels` and `silences`, which are added for this request, or replace those
            of the same ids.

    Raises:
        InvalidInput: names the field of the body.
    """
    body = dict(body)
    given = {name: body.pop(name) for name in ("source", "at", "channels", "silences") if name in body}
    source, now = _source(given.get("source")), datetime.now(UTC)
    at = now if given.get("at") is None else _time(given["at"])
    alerts = _alerts_of(body)
    drafts = await draft_channels(given.get("channels", []), principal, context.egress_policy)
    async with context.database.begin() as connection:
        driver = await driver_connection(connection)
        _, every = await channels.load_filters(driver)
        silences = await load_silences_at(driver, at)
    tenants = principal.tenants
    visible = {name: filters for name, filters in every.items() if sees(tenants, filters.tenant_id)} | drafts
    with_drafts = silences | draft_silences(given.get("silences", []), principal, min(now, at), visible, silences)
    dry_run = DryRun(
        source=source,
        at=at,
        tenant_label=context.tenant_label,
        channels=visible,
        silences=with_drafts,
        tenants=tenants,
    )
    return RouteResult(await asyncio.to_thread(dry_run.verdicts, alerts))


def _alerts_of(body: dict[str, Any]) -> tuple[Alert, ...]:
    if "alerts" in body:
        return decode_webhook(msgspec.json.encode(body)).alerts
    if set(body) != {"labels"}:
        raise InvalidInput("labels", "send the labels of one alert, or a whole webhook body")
    firing = {"status": "firing", "labels": body["labels"], "startsAt": "1970-01-01T00:00:00Z"}
    try:
        return decode_webhook(msgspec.json.encode({"alerts": [firing]})).alerts
    except InvalidInput as error:
        raise InvalidInput(error.field.removeprefix("alerts[0]."), error.message) from None


def _source(given: Any) -> str:
    if given is None:
        return ""
    if not isinstance(given, str):
        raise InvalidInput("source", "must be a string")
    if given:
        require_source("source", given)
    return given


def _time(given: Any) -> datetime:
    try:
        at = msgspec.convert(given, datetime)
        if at.tzinfo is not None:
            return at.astimezone(UTC)
    except (msgspec.ValidationError, OverflowError):
        pass
    raise InvalidInput("at", "must be a time with its zone, such as 2026-11-23T15:33:27Z")
