"""The windows of a recurrence: local times of a zone, each followed by a duration of real time.

A local time that a change of the clocks skips is read with the offset before the change, and of a repeated one the
first is meant, as RFC 5545 has it: https://www.rfc-editor.org/rfc/rfc5545#section-3.3.5
"""

import heapq
import itertools
import zoneinfo
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Any, Final
from zoneinfo import ZoneInfo

from dateutil import rrule

from relay.domain.durations import parse_duration
from relay.domain.errors import InvalidInput
from relay.domain.rrules import Rule, parse_rrule

MAX_DURATION: Final = timedelta(days=365)
HORIZON: Final = timedelta(days=366 * 30)
"""How far ahead an occurrence is looked for."""
MAX_SERIES: Final = timedelta(days=366 * 100)
"""How long a rule with a COUNT may take."""
PROBED: Final = range(9932, 9960)
"""Years with all calendars that there are. Dateutil tries all times until the year 9999 if a rule never occurs."""
LATEST: Final = datetime(9000, 1, 1)  # noqa: DTZ001  # a local time
MAX_MERGED: Final = 100
"""Overlapping windows ahead that are merged; more count as having no end."""
MERGED_BACK: Final = timedelta(days=8)
"""How far back overlapping windows are merged."""
MARGIN: Final = timedelta(hours=25)
"""More than a change of the clocks; within it, local times may be in another order than the moments they mean."""
MAX_CACHED: Final = 32_768

Window = tuple[datetime, datetime | None]
"""A start and an end, which is not included; without an end if none is in sight."""


class Windows:
    """The windows of a rule between `starts_at`, which is its DTSTART, and `ends_at`."""

    def __init__(
        self, rule: Rule, starts_at: datetime, ends_at: datetime | None, duration: timedelta, zone: ZoneInfo
    ) -> None:
        self._starts_at = starts_at.replace(microsecond=0)
        self._ends_at = ends_at
        self._duration = duration
        self._zone = zone
        self._rule = rule
        self._first = self._local(self._starts_at)
        self._options = _with_defaults(rule, self._first)
        self._never = not self._occurs()
        self._until = self._local(rule.until) if rule.until is not None and rule.until.tzinfo else rule.until
        if rule.count is not None:
            self._until = self._last_of(rule.count)
        self._known: tuple[datetime, datetime, Window | None] | None = None
        self._next: tuple[datetime, datetime | None] | None = None

    def at(self, at: datetime) -> Window | None:
        """The window at a time, with those that overlap it; None if there is none."""
        known = self._known
        if known is None or not known[0] <= at < known[1]:
            self._known = known = self._find(at)
        return known[2]

    def ended(self, at: datetime) -> bool:
        """Whether there is no window at this time or later."""
        return self.at(at) is None and self.next_start(at) is None

    def next_start(self, after: datetime) -> datetime | None:
        """When the next window begins."""
        found = self._next
        if found is None or after < found[0] or (found[1] is not None and after >= found[1]):
            self._next = found = (after, next(self._later_starts(after), None))
        return found[1]

    def occurrences(self, after: datetime, count: int) -> list[tuple[datetime, datetime]]:
        """The next windows that begin after a time; those that overlap are not merged."""
        return [self._bounded(start) for start in itertools.islice(self._later_starts(after), count)]

    def _find(self, at: datetime) -> tuple[datetime, datetime, Window | None]:
        """A period around a time, and the window that it is; None if it is between windows."""
        begun: datetime | None = None
        end = datetime.min.replace(tzinfo=UTC)
        for start in self._starts(at - MERGED_BACK - 2 * self._duration, at):
            if begun is None or start > end:
                begun = start
            end = start + self._duration
        if begun is None or not max(begun, self._starts_at) <= at < end or self._is_over(at):
            upcoming = self.next_start(at)
            return at, datetime.max.replace(tzinfo=UTC) if upcoming is None else upcoming, None
        begun = max(begun, self._starts_at)
        merged = 0
        for start in self._later_starts(at):
            if start > end:
                break
            end, merged = start + self._duration, merged + 1
            if merged == MAX_MERGED:
                return begun, end, (begun, None)
        if self._ends_at is not None:
            end = min(end, self._ends_at)
        return begun, end, (begun, end)

    def _is_over(self, at: datetime) -> bool:
        return self._ends_at is not None and at >= self._ends_at

    def _bounded(self, start: datetime) -> tuple[datetime, datetime]:
        end = start + self._duration
        return start, end if self._ends_at is None else min(end, self._ends_at)

    def _starts(self, low: datetime, high: datetime) -> list[datetime]:
        """When the windows begin that begin in a period, both ends included, in order."""
        latest = self._local(high) + MARGIN
        occurrences = itertools.takewhile(
            lambda local: local <= latest, self._occurrences(self._local(low) - MARGIN)
        )
        return sorted({start for local in occurrences if low <= (start := self._moment(local)) <= high})

    def _later_starts(self, after: datetime) -> Iterator[datetime]:
        """When the windows begin that begin after a time, in order."""
        waiting: list[tuple[datetime, datetime]] = []
        last = after
        for local in itertools.chain(self._occurrences(self._local(after) - MARGIN), [None]):
            while waiting and (local is None or waiting[0][1] + MARGIN < local):
                start, _ = heapq.heappop(waiting)
                if self._is_over(start):
                    return
                if start > last:
                    yield start
                    last = start
            if local is not None and (start := self._moment(local)) > after and start >= self._starts_at:
                heapq.heappush(waiting, (start, local))

    def _occurrences(self, low: datetime) -> Iterator[datetime]:
        """The local times of the occurrences from a local time on, in order.

        The rule is begun anew with a whole number of intervals after its start, so that earlier ones cost nothing.
        """
        until = min(max(low, self._first) + HORIZON, LATEST)
        if self._until is not None:
            until = min(until, self._until)
        found = self._recurrence(self._aligned(low), until)
        return (local for local in found if local >= low)

    def _recurrence(self, first: datetime, until: datetime) -> Iterator[datetime]:
        if self._never:
            return iter(())
        return iter(rrule.rrule(self._rule.frequency, first, self._rule.interval, until=until, **self._options))

    def _occurs(self) -> bool:
        """Whether the rule occurs in the next decades: tried in the last years of the same calendars."""
        first = self._first
        leap, weekday = first.year % 4, first.replace(month=1, day=1).weekday()
        year = next(one for one in PROBED if (one % 4, date(one, 1, 1).weekday()) == (leap, weekday))
        try:
            found = rrule.rrule(
                self._rule.frequency, first.replace(year=year), self._rule.interval, **self._options
            )
        except ValueError:  # the interval skips all hours that the rule has
            return False
        return next(iter(found), None) is not None

    def _aligned(self, low: datetime) -> datetime:
        """The last start of an interval of the rule at or before `low`: of a year, a month, and so on."""
        first, interval = self._first, self._rule.interval
        day = first.replace(hour=0, minute=0, second=0)
        match self._rule.frequency:
            case rrule.YEARLY:
                years = (low.year - first.year) // interval * interval
                aligned = day.replace(year=first.year + max(years, 0), month=1, day=1)
            case rrule.MONTHLY:
                months = (low.year - first.year) * 12 + low.month - first.month
                month = first.month - 1 + max(months // interval * interval, 0)
                aligned = day.replace(year=first.year + month // 12, month=month % 12 + 1, day=1)
            case rrule.WEEKLY:
                week = day - timedelta(days=(first.weekday() - self._options["wkst"]) % 7)
                aligned = week + (low - week) // timedelta(weeks=interval) * timedelta(weeks=interval)
            case rrule.DAILY:
                aligned = day + (low - day) // timedelta(days=interval) * timedelta(days=interval)
            case _:
                hour = first.replace(minute=0, second=0)
                aligned = hour + (low - hour) // timedelta(hours=interval) * timedelta(hours=interval)
        return max(aligned, first)

    def _last_of(self, count: int) -> datetime:
        """The local time of the last occurrence of a rule with a COUNT."""
        until = min(self._first + MAX_SERIES, LATEST)
        found = list(itertools.islice(self._recurrence(self._first, until), count))
        return found[-1] if found else self._first - MARGIN

    def _local(self, moment: datetime) -> datetime:
        return moment.astimezone(self._zone).replace(tzinfo=None, fold=0)

    def _moment(self, local: datetime) -> datetime:
        return local.replace(tzinfo=self._zone).astimezone(UTC)


@lru_cache(MAX_CACHED)
def windows(text: str, starts_at: datetime, ends_at: datetime | None, duration: str, time_zone: str) -> Windows:
    """The windows of a rule.

    Raises:
        InvalidInput: the rule, the duration or the time zone is invalid; names the field.
    """
    lasting = parse_duration("duration", duration, MAX_DURATION)
    if not lasting:
        raise InvalidInput("duration", "must be more than 0")
    return Windows(parse_rrule(text), starts_at, ends_at, lasting, zone_of(time_zone))


def zone_of(name: str) -> ZoneInfo:
    """The time zone of a name such as `Europe/Berlin`.

    Raises:
        InvalidInput: it is not known; the field is `time_zone`.
    """
    try:
        return ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise InvalidInput("time_zone", f"{name!r} is not a time zone, such as Europe/Vienna") from None


def _with_defaults(rule: Rule, first: datetime) -> dict[str, Any]:
    """The options with those that the first time implies, so that the rule can begin at another time."""
    options = dict(rule.options)
    if options.keys().isdisjoint({"byweekno", "byyearday", "bymonthday", "byweekday"}):
        match rule.frequency:
            case rrule.YEARLY:
                options.setdefault("bymonth", [first.month])
                options["bymonthday"] = [first.day]
            case rrule.MONTHLY:
                options["bymonthday"] = [first.day]
            case rrule.WEEKLY:
                options["byweekday"] = [first.weekday()]
    if rule.frequency < rrule.HOURLY:
        options.setdefault("byhour", [first.hour])
    options.setdefault("byminute", [first.minute])
    options.setdefault("bysecond", [first.second])
    return options
