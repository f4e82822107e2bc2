"""Random silences, and when they are surely active."""

from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, Final

from tests.model.suppression.clock import Clock
from tests.model.suppression.records import Story, Suppression

WINDOW: Final = timedelta(seconds=2)
FAR: Final = datetime(9000, 1, 1, tzinfo=UTC)


def random_fields(rng: Random, story: Story, now: datetime) -> dict[str, Any]:
    """A silence of some alerts of a history."""
    fields: dict[str, Any] = {"matchers": random_matchers(rng, story), "comment": "work"}
    if rng.random() < 0.25:
        fields["channels"] = rng.sample(story.channels, 2)
    if rng.random() < 0.15:
        fields["send_resolved"] = False
    kind = rng.random()
    if kind < 0.25:
        return fields | _recurring(rng, now)
    if kind < 0.5:
        fields["starts_at"] = (now + timedelta(seconds=rng.uniform(0.5, 2))).isoformat()
    return fields | {"ends_at": _end(rng, now)}


def random_patch(rng: Random, story: Story, now: datetime) -> dict[str, Any]:
    """A change of a silence, which may replace it."""
    return rng.choice(
        (
            {"comment": "still at work"},
            {"ends_at": _end(rng, now)},
            {"matchers": random_matchers(rng, story)},
        )
    )


def random_matchers(rng: Random, story: Story) -> list[dict[str, Any]]:
    """Matchers of one history, also of labels that some of its alerts do not have."""
    name = rng.choice(list(story.labels))
    special = rng.choice(
        (
            [("alertname", name, False, True)],
            [("alertname", f".*a[{rng.randrange(2)}2]", True, True)],
            [("alertname", ".*g0.*", True, True)],
            [("team", "", False, True)],
            [("team", "db|web", True, True)],
            [("team", "db", False, False)],
            [("severity", "critical", False, False)],
            [],
        )
    )
    return [
        {"name": label, "value": value, "isRegex": is_regex, "isEqual": is_equal}
        for label, value, is_regex, is_equal in [("history", story.name, False, True), *special]
    ]


def suppression(answer: dict[str, Any], at: float, clock: Clock) -> Suppression:
    """What a silence, which the API answered at a moment, suppresses from then on."""
    starts_at, ends_at = datetime.fromisoformat(answer["starts_at"]), answer["ends_at"]
    until = FAR if ends_at is None else datetime.fromisoformat(ends_at)
    windows = [(starts_at, until)]
    if answer.get("rrule") is not None:
        windows = [(start, min(end, until)) for start, end in _windows(answer["rrule"], starts_at)]
    return Suppression(
        answer["id"],
        at,
        clock=clock,
        windows=windows,
        matchers=answer["matchers"],
        channels=frozenset(answer["channels"]),
        send_resolved=answer["send_resolved"],
    )


def _end(rng: Random, now: datetime) -> str:
    return (now + timedelta(seconds=rng.uniform(2.5, 5))).isoformat()


def _recurring(rng: Random, now: datetime) -> dict[str, Any]:
    """Windows within seconds of each other, in this minute and the next one."""
    first = now.astimezone(UTC) + timedelta(seconds=1)
    seconds = sorted({(first.second + step) % 60 for step in (0, 4, 8, 12)})
    minutes = sorted({first.minute, (first.minute + 1) % 60})
    parts = {"BYHOUR": [first.hour], "BYMINUTE": minutes, "BYSECOND": seconds}
    rule = ";".join(f"{name}={','.join(map(str, values))}" for name, values in parts.items())
    starts_at = now - timedelta(seconds=rng.choice((0, 60)))
    return {
        "rrule": f"FREQ=DAILY;{rule}",
        "duration": f"{int(WINDOW.total_seconds())}s",
        "starts_at": starts_at.isoformat(),
        "ends_at": (now + timedelta(seconds=rng.uniform(8, 15))).isoformat(),
    }


def _windows(rule: str, starts_at: datetime) -> list[tuple[datetime, datetime]]:
    lists = {
        name: [int(number) for number in values.split(",")]
        for name, _, values in (part.partition("=") for part in rule.split(";")[1:])
    }
    day = starts_at.replace(hour=0, minute=0, second=0, microsecond=0)
    starts = [
        day + timedelta(days=ahead, hours=hour, minutes=minute, seconds=second)
        for ahead in (0, 1)
        for hour in lists["BYHOUR"]
        for minute in lists["BYMINUTE"]
        for second in lists["BYSECOND"]
    ]
    return [(start, start + WINDOW) for start in starts if start >= starts_at.replace(microsecond=0)]
