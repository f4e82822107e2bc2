"""End to end: a real Alertmanager and the table of silences find the same silences for the same alerts."""

import asyncio
import itertools
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from relay.domain.matchers import matches_pattern
from relay.domain.silences import Silence, new_silence, parse_new_silence, silence_fields
from relay.route.silences import SilenceTable
from tests.fixtures import matching
from tests.fixtures.alertmanagers import Alertmanager, alertmanager, needs_alertmanager

SILENCES = 100
ALERTS = 120
BATCH = 20
MAX_WAIT = 30.0
LABELS = ("alertname", "instance", "job", "severity", "_x")
VALUES = (*matching.VALUES, " a", 'a"b', "a\\b", "🙂", "e\u0301")
PATTERNS = (*matching.PATTERNS, "..", r"\w+")

pytestmark = [pytest.mark.slow, needs_alertmanager]


@pytest.mark.parametrize("seed", [17, 18])
async def test_both_find_the_same_silences(seed: int) -> None:
    """12,000 pairs of a silence and an alert for each seed, of which thousands match."""
    chosen = random.Random(seed)
    now = datetime.now(UTC)
    silences = [random_silence(chosen, f"s{at}", now) for at in range(SILENCES)]
    alerts = [{**random_labels(chosen), "number": str(at)} for at in range(ALERTS)]
    async with alertmanager("http://127.0.0.1:9/") as real:
        names = await asyncio.gather(*(post(real, one) for one in silences))
        for batch in batches(alerts):
            await real.push(*({"labels": labels, "endsAt": in_an_hour(now)} for labels in batch))
        theirs = await silenced_by(real, dict(zip(names, (one.id for one in silences), strict=True)))

    table = SilenceTable(1, {one.id: one for one in silences})
    ours = {labels["number"]: sorted(one.id for one in table.matching(labels)) for labels in alerts}
    assert theirs == ours
    assert sum(map(len, ours.values())) > 1_000


def random_silence(chosen: random.Random, silence_id: str, now: datetime) -> Silence:
    """A silence with matchers that Alertmanager accepts."""
    matchers = [random_matcher(chosen) for _ in range(chosen.choice((1, 1, 2, 3)))]
    if all(matches_empty(one) for one in matchers):
        matchers.append({"name": "number", "value": "x", "isRegex": False, "isEqual": False})
    given = {"matchers": matchers, "ends_at": in_an_hour(now), "comment": "seeded"}
    return new_silence(parse_new_silence(given), silence_id, "tests", now)


def random_matcher(chosen: random.Random) -> dict[str, Any]:
    regular = chosen.random() < 0.5
    return {
        "name": chosen.choice(LABELS),
        "value": chosen.choice(PATTERNS if regular else VALUES),
        "isRegex": regular,
        "isEqual": chosen.random() < 0.5,
    }


def matches_empty(matcher: dict[str, Any]) -> bool:
    if not matcher["isEqual"]:
        return False
    return matches_pattern(matcher["value"], "") if matcher["isRegex"] else not matcher["value"]


def random_labels(chosen: random.Random) -> dict[str, str]:
    return {name: chosen.choice(VALUES) for name in LABELS if chosen.random() < 0.7}


def in_an_hour(now: datetime) -> str:
    return (now + timedelta(hours=1)).isoformat()


def batches(alerts: list[dict[str, str]]) -> Iterator[list[dict[str, str]]]:
    return (alerts[at : at + BATCH] for at in itertools.islice(itertools.count(0, BATCH), len(alerts) // BATCH))


async def post(real: Alertmanager, silence: Silence) -> str:
    """Create a silence; returns the id that Alertmanager gives it."""
    fields = silence_fields(silence)
    created = await real.call(
        "POST",
        "silences",
        {
            "matchers": msgspec.to_builtins(fields["matchers"]),
            "startsAt": fields["starts_at"],
            "endsAt": fields["ends_at"],
            "createdBy": fields["created_by"],
            "comment": fields["comment"],
        },
    )
    return str(created["silenceID"])


async def silenced_by(real: Alertmanager, ids: dict[str, str]) -> dict[str, list[str]]:
    """The silences of each alert by its number, once Alertmanager has seen all."""
    async with asyncio.timeout(MAX_WAIT):
        while True:
            found = await real.call("GET", "alerts")
            if len(found) == ALERTS and not any(one["status"]["state"] == "unprocessed" for one in found):
                return {
                    one["labels"]["number"]: sorted(ids[name] for name in one["status"]["silencedBy"])
                    for one in found
                }
            await asyncio.sleep(0.2)
