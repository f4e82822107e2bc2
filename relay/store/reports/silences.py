"""Lists of silences: active ones, then pending ones, then expired ones."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec
from sqlalchemy import ColumnElement, Select, and_, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from relay.domain.errors import NotFound
from relay.domain.matchers import Matcher
from relay.domain.principals import Tenants, sees
from relay.domain.recurrence import state_of
from relay.domain.silences import SilenceState
from relay.store.configuration.silences import StoredSilence, from_row
from relay.store.tables import alerts, series, silences

PHASES: Final = (SilenceState.ACTIVE, SilenceState.PENDING, SilenceState.EXPIRED)
"""The order of a list. A series of windows is among the active ones from its start to its end."""
CHUNK: Final = 500
MAX_READ: Final = 10_000
"""Silences that are read for one page."""

_is_series: Final = silences.c.body["rrule"].astext.is_not(None)


class SilenceFilter(msgspec.Struct, frozen=True, kw_only=True):
    """A caller's filter; None or an empty one matches all.

    Each of `matchers` must be one of the silence's. `labels` are those of an alert that meets its matchers.
    """

    states: frozenset[SilenceState] = frozenset(SilenceState)
    matchers: tuple[Matcher, ...] = ()
    created_by: str | None = None
    labels: Mapping[str, str] | None = None


class Place(msgspec.Struct, frozen=True):
    """A place in a list: after the silence `id` of a phase, whose order within it is by `key` (None comes last).

    `at` is the time at which the states of the whole list are evaluated.
    """

    at: datetime
    phase: int = 0
    key: datetime | None = None
    id: str = ""


async def page(
    connection: AsyncConnection, wanted: SilenceFilter, tenants: Tenants, after: Place, limit: int
) -> tuple[list[StoredSilence], Place | None]:
    """Return silences of the tenants, and the place after which the next page starts; None on the last page.

    A page may have fewer silences than `limit`, because only MAX_READ are read for it.
    """
    found: list[StoredSilence] = []
    last, read, next_place = after, 0, after
    while last.phase < len(PHASES):
        rows = await _chunk(connection, wanted, tenants, last)
        for stored in rows:
            last = _place_of(stored, last)
            if _is_wanted(stored, wanted, after.at):
                if len(found) == limit:
                    return found, next_place
                found.append(stored)
            next_place = last
        read += len(rows)
        if read >= MAX_READ:
            return found, last
        if len(rows) < CHUNK:
            last = Place(after.at, last.phase + 1)
    return found, None


async def labels_of(connection: AsyncConnection, alert_id: int, tenants: Tenants) -> dict[str, str]:
    """Return the labels of an alert of the tenants.

    Raises:
        NotFound: there is none.
    """
    statement = select(alerts.c.tenant_id, series.c.labels).join(series, series.c.id == alerts.c.series_id)
    row = (await connection.execute(statement.where(alerts.c.id == alert_id))).one_or_none()
    if row is None or not sees(tenants, row.tenant_id or None):
        raise NotFound(f"there is no alert {alert_id} in the history")
    labels: dict[str, str] = row.labels
    return labels


async def _chunk(
    connection: AsyncConnection, wanted: SilenceFilter, tenants: Tenants, after: Place
) -> Sequence[StoredSilence]:
    """The next silences of a phase that may be wanted."""
    phase = PHASES[after.phase]
    statement = _in_phase(phase, after)
    if phase not in wanted.states:
        if phase is not SilenceState.ACTIVE:
            return ()
        statement = statement.where(_is_series)
    if tenants is not None:
        statement = statement.where(silences.c.tenant_id.in_(tenants))
    if wanted.created_by is not None:
        statement = statement.where(silences.c.body["created_by"].astext == wanted.created_by)
    if wanted.matchers:
        statement = statement.where(silences.c.body["matchers"].contains(msgspec.to_builtins(wanted.matchers)))
    return [from_row(row) for row in await connection.execute(statement.limit(CHUNK))]


def _in_phase(phase: SilenceState, after: Place) -> Select[Any]:
    """The silences of a phase in its order, after a place."""
    starts_at, ends_at = silences.c.starts_at, silences.c.ends_at
    has_not_ended = or_(ends_at.is_(None), ends_at > after.at)
    if phase is SilenceState.EXPIRED:
        statement = select(silences).where(ends_at <= after.at).order_by(ends_at.desc())
    elif phase is SilenceState.PENDING:
        statement = select(silences).where(starts_at > after.at, has_not_ended).order_by(starts_at)
    else:
        statement = select(silences).where(starts_at <= after.at, has_not_ended).order_by(ends_at)
    statement = statement.order_by(silences.c.id)
    return statement.where(_comes_after(phase, after)) if after.id else statement


def _comes_after(phase: SilenceState, after: Place) -> ColumnElement[bool]:
    column = silences.c.starts_at if phase is SilenceState.PENDING else silences.c.ends_at
    same = and_(column == after.key, silences.c.id > after.id)
    if after.key is None:
        return same
    if phase is SilenceState.EXPIRED:
        return or_(column < after.key, same)
    return or_(column.is_(None), column > after.key, same)


def _place_of(stored: StoredSilence, before: Place) -> Place:
    silence = stored.silence
    key = silence.starts_at if PHASES[before.phase] is SilenceState.PENDING else silence.ends_at
    return Place(before.at, before.phase, key, silence.id)


def _is_wanted(stored: StoredSilence, wanted: SilenceFilter, at: datetime) -> bool:
    silence = stored.silence
    if state_of(silence, at) not in wanted.states:
        return False
    return wanted.labels is None or all(matcher.matches(wanted.labels) for matcher in silence.matchers)
