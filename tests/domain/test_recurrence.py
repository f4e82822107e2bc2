"""Recurring silences are active in the windows that enumerating the whole series gives."""

import random
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from dateutil import rrule

from relay.domain.durations import parse_duration
from relay.domain.errors import InvalidInput
from relay.domain.matchers import Matcher, Op
from relay.domain.recurrence import is_active, occurrences, state_of, window_at
from relay.domain.rrules import parse_rrule
from relay.domain.silences import Silence, SilenceState

ZONES = ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "Pacific/Apia", "UTC")
RULES = (
    "FREQ=DAILY",
    "FREQ=DAILY;INTERVAL=3",
    "FREQ=DAILY;BYHOUR=1,2,3;BYMINUTE=0,30",
    "FREQ=HOURLY;INTERVAL=5",
    "FREQ=HOURLY;BYHOUR=1,2,3",
    "FREQ=WEEKLY;BYDAY=MO,FR,SU",
    "FREQ=WEEKLY;INTERVAL=2;BYDAY=TU,SU;WKST=SU",
    "FREQ=WEEKLY",
    "FREQ=MONTHLY;BYMONTHDAY=-1",
    "FREQ=MONTHLY;INTERVAL=5",
    "FREQ=MONTHLY;BYDAY=-1SU,2TU",
    "FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1,1",
    "FREQ=YEARLY;BYMONTH=3,10;BYDAY=-1SU",
    "FREQ=YEARLY;BYWEEKNO=1,20,53;BYDAY=MO",
    "FREQ=YEARLY;INTERVAL=2",
    "FREQ=YEARLY;BYYEARDAY=1,-1,100",
)
LIMITS = ("", ";COUNT=9", ";UNTIL=20280401T003000Z", ";UNTIL=20280401")
DURATIONS = ("30m", "1h", "2h30m", "26h", "9d")


def recurring(
    rule: str, starts_at: datetime, duration: str = "1h", zone: str = "UTC", ends_at: datetime | None = None
) -> Silence:
    return Silence(
        id="s",
        matchers=(Matcher("a", Op.EQUAL, "b"),),
        starts_at=starts_at,
        ends_at=ends_at,
        created_by="ops",
        comment="",
        rrule=rule,
        duration=duration,
        time_zone=zone,
    )


def enumerated(silence: Silence, until: datetime) -> Iterator[tuple[datetime, datetime]]:
    """All windows of a series that begin before a time, from its start on."""
    assert silence.rrule is not None
    assert silence.duration is not None
    zone = ZoneInfo(silence.time_zone or "UTC")
    rule = parse_rrule(silence.rrule)
    first = silence.starts_at.astimezone(zone).replace(tzinfo=None, fold=0)
    last = rule.until
    if last is not None and last.tzinfo is not None:
        last = last.astimezone(zone).replace(tzinfo=None)
    recurrence = rrule.rrule(rule.frequency, first, rule.interval, count=rule.count, until=last, **rule.options)
    for local in recurrence:
        if local > until.astimezone(zone).replace(tzinfo=None) + timedelta(days=2):
            return
        start = local.replace(tzinfo=zone).astimezone(UTC)
        end = start + parse_duration("", silence.duration, timedelta(days=400))
        if silence.ends_at is not None:
            end = min(end, silence.ends_at)
        if start < end and start >= silence.starts_at:
            yield start, end


def random_silence(chosen: random.Random) -> Silence:
    starts_at = datetime(2027, 1, 1, tzinfo=UTC) + timedelta(minutes=15 * chosen.randrange(4 * 24 * 700))
    ends_at = starts_at + timedelta(hours=chosen.randrange(1, 20_000)) if chosen.random() < 0.3 else None
    return recurring(
        chosen.choice(RULES) + chosen.choice(LIMITS),
        starts_at,
        chosen.choice(DURATIONS),
        chosen.choice(ZONES),
        ends_at,
    )


@pytest.mark.parametrize("seed", [0, *[pytest.param(at, marks=pytest.mark.slow) for at in range(1, 12)]])
def test_it_is_active_as_the_enumeration_says(seed: int) -> None:
    chosen = random.Random(seed)
    for _ in range(12):
        silence = random_silence(chosen)
        last = silence.starts_at + timedelta(days=2_700)
        windows = sorted(set(enumerated(silence, last)))
        bounds = [bound + timedelta(seconds=add) for window in windows for bound in window for add in (-1, 0, 1)]
        some = chosen.sample(bounds, min(len(bounds), 60))
        some += [silence.starts_at + timedelta(hours=chosen.uniform(-100, 28_000)) for _ in range(60)]
        for at in (*sorted(some[::2]), *some[1::2]):
            if at < last - timedelta(days=1_500):
                active = any(start <= at < end for start, end in windows)
                assert is_active(silence, at) is active, (silence, at)
                assert (window_at(silence, at) is not None) is active
                later = sorted({start for start, _ in windows if start > at})[:3]
                if at < last - timedelta(days=2_300):
                    assert [start for start, _ in occurrences(silence, at, 3)] == later, (silence, at)
                    waiting = SilenceState.PENDING if later else SilenceState.EXPIRED
                    assert state_of(silence, at) is (SilenceState.ACTIVE if active else waiting), (silence, at)


@pytest.mark.parametrize(
    ("zone", "start", "expected"),
    [  # the clocks go forward, then back
        ("Europe/Berlin", "2027-03-27T01:30", ["01:30", "01:30", "00:30"]),
        ("Europe/Berlin", "2027-10-30T00:30", ["00:30", "00:30", "01:30"]),
        ("America/New_York", "2027-03-13T07:30", ["07:30", "07:30", "06:30"]),
        ("Australia/Lord_Howe", "2027-10-01T15:45", ["15:45", "15:45", "15:15"]),
        ("Asia/Kathmandu", "2027-03-27T20:15", ["20:15", "20:15", "20:15"]),
    ],
)
def test_it_keeps_the_local_time_when_the_clocks_change(zone: str, start: str, expected: list[str]) -> None:
    starts_at = datetime.fromisoformat(start).replace(tzinfo=UTC)
    silence = recurring("FREQ=DAILY", starts_at, "45m", zone)

    found = occurrences(silence, starts_at - timedelta(seconds=1), 3)

    assert [f"{begin:%H:%M}" for begin, _ in found] == expected
    assert {end - begin for begin, end in found} == {timedelta(minutes=45)}


def test_windows_that_overlap_are_one() -> None:
    starts_at = datetime(2027, 1, 1, tzinfo=UTC)
    silence = recurring("FREQ=DAILY;COUNT=5", starts_at, "30h")

    assert window_at(silence, starts_at + timedelta(days=2)) == (
        starts_at,
        starts_at + timedelta(days=4, hours=30),
    )
    assert len(occurrences(silence, starts_at, 10)) == 4


def test_a_series_that_is_always_active_has_no_end_in_sight() -> None:
    starts_at = datetime(2027, 1, 1, tzinfo=UTC)
    silence = recurring("FREQ=HOURLY", starts_at, "365d")

    window = window_at(silence, starts_at + timedelta(days=5_000))

    assert window is not None
    assert window[1] is None


def test_ends_at_cuts_the_last_window() -> None:
    starts_at = datetime(2027, 1, 1, tzinfo=UTC)
    ends_at = starts_at + timedelta(days=2, minutes=20)
    silence = recurring("FREQ=DAILY", starts_at, "1h", ends_at=ends_at)

    assert occurrences(silence, starts_at, 9)[-1] == (starts_at + timedelta(days=2), ends_at)
    assert window_at(silence, ends_at - timedelta(seconds=1)) == (starts_at + timedelta(days=2), ends_at)
    assert state_of(silence, ends_at) is SilenceState.EXPIRED


@pytest.mark.parametrize("rule", ["FREQ=DAILY", "FREQ=HOURLY", "FREQ=WEEKLY;BYDAY=MO,TU"])
def test_an_old_series_is_not_enumerated(rule: str, monkeypatch: pytest.MonkeyPatch) -> None:
    iterated = 0

    def counted(*given: object, **options: object) -> Iterator[datetime]:
        nonlocal iterated
        for local in rrule_class(*given, **options):
            iterated += 1
            yield local

    rrule_class = rrule.rrule
    monkeypatch.setattr(rrule, "rrule", counted)
    starts_at = datetime(2017, 1, 1, 12, tzinfo=UTC)
    silence = recurring(rule, starts_at, zone="Europe/Berlin")
    for days in range(3_650, 3_660):
        is_active(silence, starts_at + timedelta(days=days, minutes=90))
    assert iterated < 10 * 400

    iterated = 0
    for seconds in range(1_000):
        is_active(silence, starts_at + timedelta(days=3_659, minutes=90, seconds=seconds))
    assert iterated < 400


@pytest.mark.parametrize(
    "text",
    [
        "",
        "FREQ=SECONDLY",
        "FREQ=MINUTELY;INTERVAL=30",
        "INTERVAL=2",
        "FREQ=DAILY\nFREQ=WEEKLY",
        "DTSTART:20270101T000000Z\nRRULE:FREQ=DAILY",
        "FREQ=DAILY;BYEASTER=1",
        "FREQ=DAILY;X-NAME=1",
        "FREQ=DAILY;FREQ=DAILY",
        "FREQ=DAILY;COUNT=0",
        "FREQ=DAILY;COUNT=100000",
        "FREQ=DAILY;COUNT=3;UNTIL=20280101",
        "FREQ=DAILY;UNTIL=tomorrow",
        "FREQ=DAILY;UNTIL=20271301",
        "FREQ=DAILY;INTERVAL=0",
        "FREQ=DAILY;INTERVAL=-1",
        "FREQ=DAILY;INTERVAL=²",
        "FREQ=DAILY;BYHOUR=24",
        "FREQ=DAILY;BYHOUR=",
        "FREQ=DAILY;BYDAY=XX",
        "FREQ=WEEKLY;BYDAY=1MO",
        "FREQ=WEEKLY;BYMONTHDAY=1",
        "FREQ=MONTHLY;BYMONTHDAY=0",
        "FREQ=MONTHLY;BYWEEKNO=1",
        "FREQ=HOURLY;BYMINUTE=0,30",
        "FREQ=DAILY;BYHOUR=1,2;BYMINUTE=" + ",".join(map(str, range(60))),
        "FREQ=DAILY;BYMONTH=" + "1," * 300 + "1",
    ],
)
def test_rules_that_are_refused(text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_rrule(text)
    assert caught.value.field == "rrule"


@pytest.mark.parametrize(
    "rule",
    [
        "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30;COUNT=2",
        "FREQ=HOURLY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=31",
        "FREQ=DAILY;UNTIL=20261231",
        "FREQ=DAILY;INTERVAL=7;BYDAY=SA",
    ],
)
def test_a_series_that_never_occurs_has_ended_at_once(rule: str) -> None:
    started = time.thread_time()
    silence = recurring(rule, datetime(2027, 1, 1, tzinfo=UTC))
    assert state_of(silence, silence.starts_at) is SilenceState.EXPIRED
    assert time.thread_time() - started < 2
