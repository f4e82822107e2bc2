"""The table of silences finds the silences whose matchers an alert meets, as evaluating each of them does."""

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from relay.domain.matchers import MAX_MATCHED, Matcher, Op
from relay.domain.silences import Silence
from relay.route.silences import SilenceTable
from relay.route.table import FEW_CHANGES
from tests.fixtures import matching

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
LABELS = ("alertname", "instance", "job", "severity", "größe", "a b")
VALUES = (*matching.VALUES, "b" * 20)
PATTERNS = (*matching.PATTERNS, "(?s)a.b")


def silence(silence_id: str, *matchers: Matcher, **fields: Any) -> Silence:
    given: dict[str, Any] = {
        "starts_at": NOW,
        "ends_at": NOW + timedelta(hours=1),
        "created_by": "ops",
        "comment": "",
    } | fields
    return Silence(id=silence_id, matchers=matchers, **given)


def random_matcher(chosen: random.Random) -> Matcher:
    op = chosen.choice(list(Op))
    value = chosen.choice(VALUES if op in (Op.EQUAL, Op.NOT_EQUAL) else PATTERNS)
    return Matcher(chosen.choice(LABELS), op, value)


def random_silence(chosen: random.Random, silence_id: str) -> Silence:
    return silence(silence_id, *(random_matcher(chosen) for _ in range(chosen.choice((1, 1, 2, 3, 6)))))


def random_labels(chosen: random.Random) -> dict[str, str]:
    return {name: chosen.choice(VALUES) for name in LABELS if chosen.random() < 0.7}


def found(table: SilenceTable, labels: dict[str, str]) -> list[str]:
    return sorted(one.id for one in table.matching(labels))


def naively_found(silences: dict[str, Silence], labels: dict[str, str]) -> list[str]:
    return sorted(at for at, one in silences.items() if all(matcher.matches(labels) for matcher in one.matchers))


@pytest.mark.parametrize("seed", range(4))
def test_it_finds_what_evaluating_all_matchers_finds(seed: int) -> None:
    chosen = random.Random(seed)
    silences = {f"s{at}": random_silence(chosen, f"s{at}") for at in range(chosen.choice((1, 50, 400)))}
    table = SilenceTable(1, silences)
    for _ in range(300):
        labels = random_labels(chosen)
        assert found(table, labels) == naively_found(silences, labels)


@pytest.mark.parametrize("seed", range(4))
def test_a_changed_table_finds_what_a_new_one_finds(seed: int) -> None:
    chosen = random.Random(seed)
    silences: dict[str, Silence] = {}
    table = SilenceTable(0, {})
    for version in range(1, 80):
        changes: dict[str, Silence | None] = {}
        for _ in range(chosen.choice((1, 1, 2, FEW_CHANGES + 1))):
            silence_id = f"s{chosen.randrange(150)}"
            changes[silence_id] = None if chosen.random() < 0.3 else random_silence(chosen, silence_id)
        before, before_silences = table, silences
        table = table.changed(version, changes)
        silences = {at: one for at, one in (silences | changes).items() if one is not None}

        built = SilenceTable(version, silences)
        assert (table.version, table.silences) == (version, silences)
        for labels in [random_labels(chosen) for _ in range(8)]:
            assert found(table, labels) == found(built, labels) == naively_found(silences, labels)
            assert found(before, labels) == naively_found(before_silences, labels)


def test_a_change_of_its_times_alone_is_seen_at_once() -> None:
    matcher = Matcher("a", Op.EQUAL, "b")
    table = SilenceTable(1, {"s": silence("s", matcher)})

    table = table.changed(2, {"s": silence("s", matcher, ends_at=NOW + timedelta(minutes=1))})

    assert table.suppressing({"a": "b"}, "ops", None, NOW)
    assert not table.suppressing({"a": "b"}, "ops", None, NOW + timedelta(minutes=1))


@pytest.mark.parametrize(
    ("matcher", "labels", "matches"),
    [
        (Matcher("severity", Op.EQUAL, "Critical"), {"severity": "critical"}, False),
        (Matcher("severity", Op.MATCHES, "crit"), {"severity": "critical"}, False),
        (Matcher("a", Op.NOT_EQUAL, ""), {}, False),
        (Matcher("a", Op.NOT_MATCHES, "x"), {}, True),
        (Matcher("a", Op.EQUAL, "x" * 5_000), {"a": "x" * 5_000}, True),
        (Matcher("a", Op.MATCHES, "x*"), {"a": "x" * MAX_MATCHED + "y"}, True),
        (Matcher("a", Op.EQUAL, 'quote" \\ \t'), {"a": 'quote" \\ \t'}, True),
    ],
)
def test_matchers_compare_as_in_alertmanager(matcher: Matcher, labels: dict[str, str], matches: bool) -> None:
    assert found(SilenceTable(1, {"s": silence("s", matcher)}), labels) == ["s"] * matches


@pytest.mark.parametrize(
    ("fields", "channel", "tenant", "suppressed"),
    [
        ({}, "ops", None, True),
        ({}, "ops", "acme", True),
        ({"tenant_id": "acme"}, "ops", "acme", True),
        ({"tenant_id": "acme"}, "ops", "other", False),
        ({"tenant_id": "acme"}, "ops", None, False),
        ({"channels": ("ops", "web")}, "web", None, True),
        ({"channels": ("ops", "web")}, "db", None, False),
        ({"channels": ("ops",), "tenant_id": "acme"}, "ops", None, False),
    ],
)
def test_a_silence_governs_its_channels_and_those_of_its_tenant(
    fields: dict[str, object], channel: str, tenant: str | None, suppressed: bool
) -> None:
    table = SilenceTable(1, {"s": silence("s", Matcher("a", Op.EQUAL, "b"), **fields)})

    assert [one.id for one in table.suppressing({"a": "b"}, channel, tenant, NOW)] == ["s"] * suppressed


def test_a_silence_suppresses_from_its_start_until_its_end() -> None:
    table = SilenceTable(1, {"s": silence("s", Matcher("a", Op.EQUAL, "b"))})
    second = timedelta(seconds=1)
    times = (NOW - second, NOW, NOW + timedelta(hours=1) - second, NOW + timedelta(hours=1))

    assert [bool(table.suppressing({"a": "b"}, "ops", None, at)) for at in times] == [False, True, True, False]


@pytest.mark.parametrize("shared", [1, 50])
def test_many_silences_with_different_labels_need_few_lookups(shared: int) -> None:
    chosen = random.Random(1)
    names = [f"label{at}" for at in range(10)]
    silences = {
        f"s{at}": silence(
            f"s{at}",
            Matcher("instance", Op.EQUAL, f"host-{at // shared}"),
            *(Matcher(name, Op.EQUAL, chosen.choice("ab")) for name in chosen.sample(names, 5)),
        )
        for at in range(2_000)
    }
    table = SilenceTable(1, silences)
    labels = dict.fromkeys(names, "a") | {"instance": "host-17"}

    assert found(table, labels) == naively_found(silences, labels)
    if shared == 1:
        assert len(table._table._index[None]) == 1
