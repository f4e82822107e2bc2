"""A changed routing table routes exactly as one that is built from scratch."""

import random
from collections.abc import Mapping

import pytest

from relay.domain.alerts import Alert, Status
from relay.domain.channel_types import Filters
from relay.route import patterns, table
from relay.route.table import RoutingTable

from .factories import alert

LABELS = ("team", "zone", "tenant_id", "severity")
VALUES = ("", "a", "b", "ab", "Critical", "critical")
PATTERNS = ("a|b", "a.*", ".*b", ".*", ".+", "(?i)CRITICAL", "[ab]{1,2}", "")
INVALID = ("team", 'team=~"("', "=x")
SOURCES = (None, "", "eu", "us")


def random_filters(chosen: random.Random) -> Filters:
    def some(values: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(chosen.sample(values, chosen.randint(1, 3))) if chosen.random() < 0.25 else ()

    return Filters(
        enabled=chosen.random() < 0.9,
        tenant_id=chosen.choice(VALUES) if chosen.random() < 0.2 else None,
        source=chosen.choice(SOURCES),
        severities=some(VALUES),
        alert_names=some(VALUES),
        alert_categories=some(VALUES),
        matchers=tuple(random_matcher(chosen) for _ in range(chosen.choice((0, 0, 1, 2, 3)))),
        send_resolved=chosen.random() < 0.8,
    )


def random_matcher(chosen: random.Random) -> str:
    if chosen.random() < 0.05:
        return chosen.choice(INVALID)
    operator = chosen.choice(("=", "!=", "=~", "!~"))
    value = chosen.choice(VALUES if operator in ("=", "!=") else (*PATTERNS, f"(a|x{chosen.randrange(500)})"))
    return f'{chosen.choice(LABELS)}{operator}"{value}"'


def random_alert(chosen: random.Random) -> Alert:
    names = (*LABELS, "alertname", "category")
    labels = {name: chosen.choice(VALUES) for name in names if chosen.random() < 0.8}
    return alert(labels, chosen.choice((Status.FIRING, Status.RESOLVED)))


def random_changes(chosen: random.Random, channels: Mapping[str, Filters]) -> dict[str, Filters | None]:
    changes: dict[str, Filters | None] = {}
    for _ in range(chosen.choice((0, 1, 1, 1, 2, 9))):
        channel_id = f"c{chosen.randrange(40)}"
        filters = channels.get(channel_id)
        changes[channel_id] = None if chosen.random() < 0.3 else random_filters(chosen)
        if filters is not None and chosen.random() < 0.1:
            changes[channel_id] = filters
    return changes


def routed(routes: RoutingTable, alerts: list[Alert]) -> list[list[str]]:
    return [sorted(routes.match(one, source)) for one in alerts for source in ("", "eu", "us", "other")]


def assert_equal(changed: RoutingTable, built: RoutingTable, alerts: list[Alert]) -> None:
    assert changed.version == built.version
    assert changed.channels == built.channels
    assert changed.invalid == built.invalid
    assert routed(changed, alerts) == routed(built, alerts)


@pytest.mark.parametrize(
    "seed", [*range(12), *[pytest.param(seed, marks=pytest.mark.slow) for seed in range(12, 300)]]
)
def test_changes_in_any_order_route_as_a_new_table_does(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = random.Random(seed)
    monkeypatch.setattr(table, "MAX_UNUSED_PATTERNS", chosen.choice((0, 20, 1_000)))
    monkeypatch.setattr(table, "FEW_CHANGES", chosen.choice((2, 64)))
    channels = {f"c{at}": random_filters(chosen) for at in range(chosen.choice((0, 5, 40)))}
    changed = RoutingTable(0, dict(channels), "tenant_id")
    for version in range(1, 60):
        changes = random_changes(chosen, channels)
        before, before_channels = changed, dict(channels)
        changed = before.changed(version, changes)
        channels |= {at: filters for at, filters in changes.items() if filters is not None}
        channels = {
            at: filters for at, filters in channels.items() if at not in changes or changes[at] is not None
        }
        alerts = [random_alert(chosen) for _ in range(12)]
        assert_equal(changed, RoutingTable(version, channels, "tenant_id"), alerts)
        if version % 10 == 0:
            assert_equal(before, RoutingTable(version - 1, before_channels, "tenant_id"), alerts)


def test_removing_all_channels_leaves_an_empty_index() -> None:
    chosen = random.Random(1)
    channels = {f"c{at}": random_filters(chosen) for at in range(50)}
    changed = RoutingTable(1, channels, "tenant_id")
    for channel_id in channels:
        changed = changed.changed(2, {channel_id: None})

    assert (changed.channels, changed.invalid) == ({}, {})
    assert (changed._index, changed._places, changed._shared) == ({}, {}, {})


def test_an_unchanged_channel_is_not_indexed_again() -> None:
    routes = RoutingTable(1, {"a": Filters(matchers=("a=~x.*",)), "b": Filters()}, "tenant_id")

    changed = routes.changed(2, {"a": Filters(matchers=("a=~x.*",)), "deleted": None})

    assert (changed.version, changed._index is routes._index) == (2, True)
    assert routes.version == 1


def test_a_new_pattern_compiles_few_others(monkeypatch: pytest.MonkeyPatch) -> None:
    routes = RoutingTable(1, {f"c{at}": Filters(matchers=(f"a=~x{at}",)) for at in range(1_000)}, "tenant_id")
    compiled: list[int] = []
    compile_pass = patterns._Pass.__init__

    def counted(self: patterns._Pass, given: list[str]) -> None:
        compiled.append(len(given))
        compile_pass(self, given)

    monkeypatch.setattr(patterns._Pass, "__init__", counted)
    for at in range(256):
        routes = routes.changed(at, {f"n{at}": Filters(matchers=(f"a=~y{at}",))})

    assert len(compiled) == 256
    assert sum(compiled) < 256 * 9
    assert list(routes.match(alert({"a": "y17"}))) == ["n17"]
    assert list(routes.match(alert({"a": "x17"}))) == ["c17"]


def test_patterns_that_no_channel_has_are_dropped() -> None:
    routes = RoutingTable(1, {}, "tenant_id")
    for at in range(table.MAX_UNUSED_PATTERNS * 2):
        routes = routes.changed(at, {"c": Filters(matchers=(f"a=~x{at}",))})

    assert routes._patterns.size <= table.MAX_UNUSED_PATTERNS + 2
    assert list(routes.match(alert({"a": f"x{table.MAX_UNUSED_PATTERNS * 2 - 1}"}))) == ["c"]


def test_a_channel_is_found_by_its_rarest_pattern_after_changes() -> None:
    routes = RoutingTable(1, {}, "tenant_id")
    for at in range(200):
        routes = routes.changed(at, {f"c{at}": Filters(matchers=("team=~db|infra", f"host=~h{at}"))})

    labels = {"team": "db", "host": "h150"}
    assert list(routes.match(alert(labels))) == ["c150"]
    [(_, keys)] = [item for item in routes._index[None].items() if item[0] == ((), "host")]
    assert len(keys) == 199
