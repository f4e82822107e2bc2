"""Explain routing: evaluate the filters of every channel for given alerts, without storing or sending anything."""

from typing import Any

import msgspec

from relay.domain.alertmanager import decode_webhook
from relay.domain.alerts import Alert
from relay.domain.channel_types import Filters
from relay.domain.errors import InvalidInput
from relay.domain.identity import require_source
from relay.domain.principals import Tenants, sees
from relay.operations.context import OperationContext
from relay.route.reasons import mismatch_reason
from relay.store.configuration import channels
from relay.store.postgres.database import driver_connection


class ChannelVerdict(msgspec.Struct, frozen=True):
    """Whether a channel matches an alert. `reason` names the filter that stops it, or is null."""

    channel_id: str
    matched: bool
    reason: str | None


class AlertVerdict(msgspec.Struct, frozen=True):
    """One alert and the verdict of each channel."""

    labels: dict[str, str]
    channels: list[ChannelVerdict]


class RouteResult(msgspec.Struct, frozen=True):
    """The alerts of the request, in the same order."""

    alerts: list[AlertVerdict]


async def explain_routing(context: OperationContext, body: dict[str, Any], tenants: Tenants) -> RouteResult:
    """Return for each alert whether each channel of the tenants matches.

    Args:
        body: the labels of one alert, `{"labels": {…}}`, or a whole webhook body; with `source`, their source.

    Raises:
        InvalidInput: names the field of the body.
    """
    body = dict(body)
    source = body.pop("source", None)
    if source is not None:
        _require_source(source)
    alerts = _alerts_of(body)
    async with context.database.begin() as connection:
        _, every = await channels.load_filters(await driver_connection(connection))
    found = {channel_id: filters for channel_id, filters in every.items() if sees(tenants, filters.tenant_id)}
    verdicts = [
        AlertVerdict(
            alert.labels, [_verdict(alert, *item, context.tenant_label, source or "") for item in found.items()]
        )
        for alert in alerts
    ]
    return RouteResult(verdicts)


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


def _require_source(source: Any) -> None:
    if not isinstance(source, str):
        raise InvalidInput("source", "must be a string")
    if source:
        require_source("source", source)


def _verdict(alert: Alert, channel_id: str, filters: Filters, tenant_label: str, source: str) -> ChannelVerdict:
    reason = mismatch_reason(alert, filters, tenant_label, source)
    return ChannelVerdict(channel_id, reason is None, reason)
