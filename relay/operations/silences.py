"""Preview a silence: the alerts that it would silence now, and those that it would have silenced before."""

import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec

from relay.domain.alerts import Alert, Status
from relay.domain.durations import parse_duration
from relay.domain.errors import InvalidInput
from relay.domain.principals import Principal, Tenants
from relay.domain.recurrence import occurrences
from relay.domain.recurring_windows import MAX_DURATION, zone_of
from relay.domain.silences import DEFAULT_ZONE, Silence, new_silence, parse_new_silence
from relay.operations.context import OperationContext
from relay.route.table import RoutingTable
from relay.store.configuration import channels, silences
from relay.store.postgres.database import Database, driver_connection
from relay.store.reports import silenced_alerts
from relay.store.reports.silenced_alerts import FIRST, IDS_AT_ONCE, FoundAlert

PERIOD: Final = timedelta(days=7)
MAX_SHOWN: Final = 50
MAX_SECONDS: Final = 4.0
"""For each of the two lists."""
PREVIEW_ID: Final = "preview"
CALENDAR: Final = 56
"""Years after which dates have the same weekdays, and which most intervals of months and weeks divide."""
MAX_WINDOWS: Final = 10_000
WINDOWS_AT_ONCE: Final = 200


class SilencedAlert(msgspec.Struct, frozen=True):
    """An alert that a silence matches, and the channels that would not get it."""

    id: int
    alertname: str
    labels: dict[str, str]
    starts_at: datetime
    ends_at: datetime | None
    channels: list[str]


class SilencedAlerts(msgspec.Struct, frozen=True):
    """How many alerts a silence matches, and the newest of them. `truncated`: not all alerts were read."""

    count: int
    alerts: list[SilencedAlert]
    truncated: bool


class SilencePreview(msgspec.Struct, frozen=True):
    """`now`: firing alerts. `last_7_days`: alerts that fired in that time, those that fire now included."""

    now: SilencedAlerts
    last_7_days: SilencedAlerts


class _Found:
    """The alerts that a silence matches, as they are found."""

    def __init__(self, silence: Silence, channels_of: Callable[[FoundAlert], list[str]]) -> None:
        self._silence = silence
        self._channels_of = channels_of
        self.count = 0
        self.shown: list[SilencedAlert] = []

    def add(self, alert: FoundAlert) -> None:
        """Count an alert, and keep it if it is among the first."""
        self.count += 1
        if len(self.shown) < MAX_SHOWN:
            self.shown.append(
                SilencedAlert(
                    alert.id,
                    alert.alertname,
                    alert.labels,
                    alert.starts_at,
                    alert.ends_at,
                    self._channels_of(alert),
                )
            )

    def result(self, truncated: bool) -> SilencedAlerts:
        """The result."""
        return SilencedAlerts(self.count, self.shown, truncated)


async def preview_silence(context: OperationContext, body: dict[str, Any], principal: Principal) -> SilencePreview:
    """Return which alerts of the principal's tenants a silence matches, and which channels would not get them.

    Args:
        body: a silence as `POST /silences` accepts it, or `{"id": …}`.

    Raises:
        InvalidInput: names the field of the body.
        NotFound: there is no such silence.
    """
    now = datetime.now(UTC)
    silence = await _silence(context.database, body, principal, now)
    channels_of = await _channels_of(context, silence, principal.tenants)
    windows = windows_before(silence, now - PERIOD, now)

    def fired_in_a_window(alert: FoundAlert) -> bool:
        return any(alert.starts_at < end and (alert.ends_at or now) > start for start, end in windows)

    current, past = _Found(silence, channels_of), _Found(silence, channels_of)
    reader = _Reader(context.database, silence, principal.tenants)
    async for alert in reader.unresolved():
        current.add(alert)
        if fired_in_a_window(alert):
            past.add(alert)
    truncated = reader.truncated
    async for alert in reader.ended(now - PERIOD):
        if fired_in_a_window(alert):
            past.add(alert)
    return SilencePreview(current.result(truncated), past.result(reader.truncated))


def windows_before(silence: Silence, since: datetime, until: datetime) -> list[tuple[datetime, datetime]]:
    """The windows of a silence in a period, as if its series had begun long before and had no end."""
    if silence.rrule is None:
        return [(since, until)]
    lasting = parse_duration("duration", silence.duration or "", MAX_DURATION)
    starts_at = silence.starts_at
    if starts_at > since - lasting:
        local = starts_at.astimezone(zone_of(silence.time_zone or DEFAULT_ZONE))
        starts_at = local.replace(year=local.year - CALENDAR).astimezone(UTC)
    parts = silence.rrule.upper().removeprefix("RRULE:").split(";")
    rrule = ";".join(part for part in parts if not part.startswith(("COUNT=", "UNTIL=")))
    endless = msgspec.structs.replace(silence, starts_at=starts_at, ends_at=None, rrule=rrule)
    found: list[tuple[datetime, datetime]] = []
    after = since - lasting
    while len(found) < MAX_WINDOWS and (windows := occurrences(endless, after, WINDOWS_AT_ONCE)):
        found += [window for window in windows if window[0] < until]
        if windows[-1][0] >= until:
            break
        after = windows[-1][0]
    return found


class _Reader:
    """Reads the alerts that meet a silence's matchers, newest first, for a limited time."""

    def __init__(self, database: Database, silence: Silence, tenants: Tenants) -> None:
        self._database = database
        self._matchers = silence.matchers
        self._equal = silenced_alerts.equal_labels(silence.matchers)
        self._tenants = tenants
        self.truncated = False

    async def unresolved(self) -> AsyncIterator[FoundAlert]:
        """The alerts that have not ended."""
        before, deadline = FIRST, time.monotonic() + MAX_SECONDS
        while self._in_time(deadline):
            async with self._database.begin() as connection:
                driver = await driver_connection(connection)
                found = await silenced_alerts.unresolved(driver, self._equal, self._tenants, before)
            for alert in self._matched(found):
                yield alert
            if len(found) < silenced_alerts.PAGE:
                return
            before = found[-1].id

    async def ended(self, since: datetime) -> AsyncIterator[FoundAlert]:
        """The alerts that ended after a time."""
        async with self._database.begin() as connection:
            first, last = await silenced_alerts.bounds(await driver_connection(connection))
        before, deadline = last + 1, time.monotonic() + MAX_SECONDS
        while before > first and self._in_time(deadline):
            async with self._database.begin() as connection:
                driver = await driver_connection(connection)
                found = await silenced_alerts.ended(driver, self._equal, self._tenants, before, since)
            for alert in self._matched(found):
                yield alert
            before -= IDS_AT_ONCE

    def _matched(self, found: list[FoundAlert]) -> list[FoundAlert]:
        return [alert for alert in found if all(matcher.matches(alert.labels) for matcher in self._matchers)]

    def _in_time(self, deadline: float) -> bool:
        self.truncated = self.truncated or time.monotonic() > deadline
        return not self.truncated


async def _silence(database: Database, body: dict[str, Any], principal: Principal, now: datetime) -> Silence:
    if body.keys() == {"id"}:
        if not isinstance(body["id"], str):
            raise InvalidInput("id", "must be the id of a silence")
        async with database.begin() as connection:
            return (await silences.get(connection, body["id"], principal.tenants)).silence
    given = parse_new_silence(body)
    owned = msgspec.structs.replace(given, tenant_id=principal.owner_of_new(given.tenant_id))
    silence = new_silence(owned, PREVIEW_ID, principal.name, now)
    async with database.begin() as connection:
        await silences.check_channels(connection, silence, principal.tenants)
    return silence


async def _channels_of(
    context: OperationContext, silence: Silence, tenants: Tenants
) -> Callable[[FoundAlert], list[str]]:
    """A function that returns the channels that an alert is routed to, and that the silence governs."""
    async with context.database.begin() as connection:
        version, every = await channels.load_filters(await driver_connection(connection))
    governed = {
        channel_id: filters
        for channel_id, filters in every.items()
        if (tenants is None or filters.tenant_id in tenants)
        and silence.tenant_id in (None, filters.tenant_id)
        and (not silence.channels or channel_id in silence.channels)
    }
    table = RoutingTable(version, governed, context.tenant_label)

    def channels_of(alert: FoundAlert) -> list[str]:
        return sorted(table.match(_as_routed(alert), alert.source))

    return channels_of


def _as_routed(alert: FoundAlert) -> Alert:
    return Alert(
        status=Status.FIRING,
        labels=alert.labels,
        annotations={},
        starts_at=alert.starts_at,
        ends_at=None,
        generator_url="",
        fingerprint="",
    )
