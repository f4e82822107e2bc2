"""Silences in requests and responses, and places in their list."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final

import msgspec
from msgspec import UNSET, UnsetType
from sqlalchemy.ext.asyncio import AsyncConnection

from relay.api.pages import text_cursor
from relay.domain.errors import InvalidInput
from relay.domain.recurrence import occurrences, state_of
from relay.domain.silence_matchers import GivenMatchers, SilenceMatcher, shown_matchers
from relay.domain.silences import SilenceState
from relay.domain.versions import ObjectKind
from relay.store.configuration import versions
from relay.store.configuration.silences import StoredSilence
from relay.store.reports.silences import PHASES, Place

SHOWN_WINDOWS: Final = 3
READ_ONLY: Final = ("id", "state", "next", "created_at", "updated_at", "version", "replaces")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

Ignored = Annotated[Any, msgspec.Meta(description="Ignored.")]


class Window(msgspec.Struct, frozen=True):
    """A time during which a recurring silence is active."""

    starts_at: datetime
    ends_at: datetime


class SilenceView(msgspec.Struct, frozen=True, kw_only=True):
    """A silence. `next` are the next windows of a recurring one, which is pending between them.

    `replaces` is the id of the earlier silence, in the response to a change that made a new one.
    """

    id: str
    state: SilenceState
    matchers: tuple[SilenceMatcher, ...]
    starts_at: datetime
    ends_at: datetime | None
    next: list[Window]
    created_by: str
    comment: str
    tenant_id: str | None
    channels: tuple[str, ...]
    rrule: str | None
    duration: str | None
    time_zone: str | None
    send_resolved: bool
    expire_when_resolved: bool
    expires_if_unmatched_for: str | None
    remind_before: str | None
    remind_channel_id: str | None
    created_at: datetime
    updated_at: datetime
    version: int
    replaces: str | None = None


class SilencePatch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The fields of a silence to change; null resets a field."""

    matchers: GivenMatchers | UnsetType | None = UNSET
    starts_at: datetime | UnsetType | None = UNSET
    ends_at: datetime | UnsetType | None = UNSET
    created_by: str | UnsetType | None = UNSET
    comment: str | UnsetType | None = UNSET
    tenant_id: str | UnsetType | None = UNSET
    channels: tuple[str, ...] | UnsetType | None = UNSET
    rrule: str | UnsetType | None = UNSET
    duration: str | UnsetType | None = UNSET
    time_zone: str | UnsetType | None = UNSET
    send_resolved: bool | UnsetType | None = UNSET
    expire_when_resolved: bool | UnsetType | None = UNSET
    expires_if_unmatched_for: str | UnsetType | None = UNSET
    remind_before: str | UnsetType | None = UNSET
    remind_channel_id: str | UnsetType | None = UNSET
    id: Ignored = UNSET
    state: Ignored = UNSET
    next: Ignored = UNSET
    created_at: Ignored = UNSET
    updated_at: Ignored = UNSET
    version: Ignored = UNSET
    replaces: Ignored = UNSET

    def writable(self) -> dict[str, Any]:
        """The given fields without the read-only ones, as JSON data."""
        fields: dict[str, Any] = msgspec.to_builtins(self)
        return {name: value for name, value in fields.items() if name not in READ_ONLY}


async def view_of(
    connection: AsyncConnection, stored: StoredSilence, now: datetime, replaces: str | None = None
) -> SilenceView:
    """A silence as responses show it."""
    [view] = await views_of(connection, [stored], now)
    return msgspec.structs.replace(view, replaces=replaces)


async def views_of(
    connection: AsyncConnection, found: Sequence[StoredSilence], now: datetime
) -> list[SilenceView]:
    """Silences as responses show them."""
    numbers = await versions.current(connection, ObjectKind.SILENCE, [stored.silence.id for stored in found])
    return [_view(stored, numbers.get(stored.silence.id, 0), now) for stored in found]


def _view(stored: StoredSilence, version: int, now: datetime) -> SilenceView:
    silence = stored.silence
    windows = occurrences(silence, now, SHOWN_WINDOWS) if silence.rrule is not None else []
    fields = msgspec.structs.asdict(silence) | {
        "state": state_of(silence, now),
        "matchers": shown_matchers(silence.matchers),
        "next": [Window(*window) for window in windows],
        "created_at": stored.created_at,
        "updated_at": stored.updated_at,
        "version": version,
    }
    return SilenceView(**fields)


def place_of(cursor: str | None, now: datetime) -> Place:
    """The place after which a page starts.

    Raises:
        InvalidInput: it is not a cursor of the list.
    """
    text = text_cursor(cursor)
    if text is None:
        return Place(now)
    try:
        at, phase, key, silence_id = text.split("|", 3)
        place = Place(_moment(at), int(phase), _moment(key) if key else None, silence_id)
    except (ValueError, OverflowError):
        place = None
    if place is None or not 0 <= place.phase < len(PHASES) or cursor_of(place) != text:
        raise InvalidInput("cursor", "is not a cursor of this list")
    if not place.id or (place.key is None and place.phase):
        raise InvalidInput("cursor", "is not a cursor of this list")
    return place


def cursor_of(place: Place) -> str:
    """The text of a place, which `place_of` reads."""
    key = "" if place.key is None else _microseconds(place.key)
    return f"{_microseconds(place.at)}|{place.phase}|{key}|{place.id}"


def _microseconds(time: datetime) -> int:
    return (time - _EPOCH) // timedelta(microseconds=1)


def _moment(text: str) -> datetime:
    return _EPOCH + timedelta(microseconds=int(text))
