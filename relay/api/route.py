"""Where would an alert go, and what stops it elsewhere? A dry run: nothing is stored or sent."""

from typing import Any

import msgspec
from litestar import Controller, post
from litestar.di import NamedDependency
from litestar.params import JSONBody

from relay.domain.alertmanager import decode_webhook
from relay.domain.alerts import Alert
from relay.domain.channel_types import Filters
from relay.domain.errors import InvalidInput
from relay.route.reasons import mismatch_reason
from relay.settings import Settings
from relay.store.configuration import channels
from relay.store.postgres.database import Database


class ChannelVerdict(msgspec.Struct, frozen=True):
    """Whether a channel wants an alert; if not, `reason` says what stopped it."""

    channel_id: str
    matched: bool
    reason: str | None


class AlertVerdict(msgspec.Struct, frozen=True):
    """One alert, and what each channel makes of it."""

    labels: dict[str, str]
    channels: list[ChannelVerdict]


class RouteResult(msgspec.Struct, frozen=True):
    """The alerts of the question, in its order."""

    alerts: list[AlertVerdict]


class RouteController(Controller):
    """Dry runs of routing."""

    path = "/route"
    tags = ("route",)

    @post(status_code=200)
    async def route(
        self,
        data: JSONBody[dict[str, Any]],
        database: NamedDependency[Database],
        settings: NamedDependency[Settings],
    ) -> RouteResult:
        """Say for each channel whether it matches: `{"labels": {…}}`, or a whole webhook body."""
        alerts = _alerts_of(data)
        async with database.begin() as connection:
            found = await channels.all_filters(connection)
        verdicts = [
            AlertVerdict(alert.labels, [_verdict(alert, *one, settings.tenant_label) for one in found.items()])
            for alert in alerts
        ]
        return RouteResult(verdicts)


def _alerts_of(data: dict[str, Any]) -> tuple[Alert, ...]:
    if "alerts" in data:
        return decode_webhook(msgspec.json.encode(data)).alerts
    if set(data) != {"labels"}:
        raise InvalidInput("labels", "send the labels of one alert, or a whole webhook body")
    firing = {"status": "firing", "labels": data["labels"], "startsAt": "1970-01-01T00:00:00Z"}
    try:
        return decode_webhook(msgspec.json.encode({"alerts": [firing]})).alerts
    except InvalidInput as error:
        raise InvalidInput(error.field.removeprefix("alerts[0]."), error.message) from None


def _verdict(alert: Alert, channel_id: str, filters: Filters, tenant_label: str) -> ChannelVerdict:
    reason = mismatch_reason(alert, filters, tenant_label)
    return ChannelVerdict(channel_id, reason is None, reason)
