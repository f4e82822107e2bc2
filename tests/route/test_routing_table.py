"""The routing table finds exactly the channels that match an alert."""

import time

import pytest

from relay.domain.alerts import Alert, Group, Status
from relay.domain.channel_types import Filters
from relay.route.index import MAX_KEYS
from relay.route.table import RoutingTable

from .factories import alert

CRITICAL = {"alertname": "DiskFull", "severity": "critical", "category": "errors", "tenant_id": "a", "team": "db"}
LISTED = ("severity", "alertname", "category")


def group(*alerts: Alert) -> Group:
    return Group(
        group_key="{}:{}",
        receiver="",
        alerts=alerts,
        group_labels={},
        common_labels={},
        common_annotations={},
        external_url="",
        truncated=0,
    )


def matches(filters: Filters, labels: dict[str, str], status: Status = Status.FIRING) -> bool:
    return list(RoutingTable(1, {"c": filters}, "tenant_id").match(alert(labels, status))) == ["c"]


@pytest.mark.parametrize(
    ("filters", "other"),
    [
        (Filters(tenant_id="a"), {"tenant_id": "b"}),
        (Filters(severities=("critical", "warning")), {"severity": "info"}),
        (Filters(alert_names=("DiskFull",)), {"alertname": "Watchdog"}),
        (Filters(alert_categories=("errors",)), {"category": "latency"}),
        (Filters(matchers=('team="db"',)), {"team": "web"}),
        (Filters(matchers=('team!="web"',)), {"team": "web"}),
        (Filters(matchers=('team=~"d.|infra"',)), {"team": "web"}),
        (Filters(matchers=('team!~"w.*"',)), {"team": "web"}),
    ],
)
def test_each_filter_matches_its_own_alerts_alone(filters: Filters, other: dict[str, str]) -> None:
    assert matches(filters, CRITICAL)
    assert not matches(filters, CRITICAL | other)


def test_a_channel_without_filters_matches_everything() -> None:
    assert matches(Filters(), {})
    assert matches(Filters(), CRITICAL, Status.RESOLVED)


@pytest.mark.parametrize("label", ["tenant_id", "severity", "alertname", "category", "team"])
def test_all_filters_must_match(label: str) -> None:
    filters = Filters(
        tenant_id="a",
        severities=("critical",),
        alert_names=("DiskFull", "Other"),
        alert_categories=("errors",),
        matchers=("team=db", "team=~d.", "severity!=info"),
    )
    assert matches(filters, CRITICAL)
    assert not matches(filters, CRITICAL | {label: "another"})
    assert not matches(filters, {name: value for name, value in CRITICAL.items() if name != label})


def test_an_absent_label_equals_the_empty_string() -> None:
    assert matches(Filters(matchers=('team=""',)), {})
    assert matches(Filters(matchers=('team=""',)), {"team": ""})
    assert not matches(Filters(matchers=('team=""',)), {"team": "db"})


@pytest.mark.parametrize(
    "filters",
    [
        Filters(severities=("critical",), matchers=("severity=warning",)),
        Filters(matchers=("team=db", "team=web")),
        Filters(tenant_id="a", matchers=("tenant_id=b",)),
        Filters(severities=("critical",), matchers=("team=db", "team=web")),
    ],
)
def test_contradictory_filters_match_nothing_and_affect_no_other_channel(filters: Filters) -> None:
    table = RoutingTable(1, {"never": filters, "always": Filters()}, "tenant_id")
    for labels in (CRITICAL, CRITICAL | {"severity": "warning"}, CRITICAL | {"team": "web"}, {}):
        assert list(table.match(alert(labels))) == ["always"]


def test_several_filters_on_one_label_are_intersected() -> None:
    filters = Filters(severities=("critical", "warning"), matchers=("severity=warning",))
    assert matches(filters, {"severity": "warning"})
    assert not matches(filters, {"severity": "critical"})


@pytest.mark.parametrize("at", [0, 17, 39])
def test_filters_with_many_combinations_match_each_label(at: int) -> None:
    forty = tuple(f"v{n}" for n in range(40))
    assert len(forty) ** 3 > MAX_KEYS
    filters = Filters(severities=forty, alert_names=forty, alert_categories=forty)
    labels = {"severity": forty[at], "alertname": forty[-at - 1], "category": forty[at]}
    assert matches(filters, labels)
    for label in labels:
        assert not matches(filters, labels | {label: "v40"})
        assert not matches(filters, {name: value for name, value in labels.items() if name != label})


def test_millions_of_combinations_are_not_indexed() -> None:
    many = tuple(f"v{n}" for n in range(150))
    started = time.perf_counter()
    assert matches(
        Filters(severities=many, alert_names=many, alert_categories=many), dict.fromkeys(LISTED, "v149")
    )
    assert time.perf_counter() - started < 1


def test_a_filter_of_a_thousand_values_matches() -> None:
    filters = Filters(alert_names=tuple(f"A{n}" for n in range(1000)), severities=("critical",))
    assert matches(filters, {"alertname": "A999", "severity": "critical"})
    assert not matches(filters, {"alertname": "A1000", "severity": "critical"})


def test_a_disabled_channel_matches_nothing() -> None:
    assert not matches(Filters(enabled=False), CRITICAL)


def test_a_channel_may_exclude_resolved_alerts() -> None:
    filters = Filters(send_resolved=False)
    assert matches(filters, CRITICAL)
    assert not matches(filters, CRITICAL, Status.RESOLVED)


def test_the_tenant_is_read_from_the_configured_label() -> None:
    table = RoutingTable(1, {"a": Filters(tenant_id="a"), "all": Filters()}, "customer")
    assert set(table.match(alert({"customer": "a", "tenant_id": "b"}))) == {"a", "all"}
    assert set(table.match(alert({"customer": "b", "tenant_id": "a"}))) == {"all"}
    assert set(table.match(alert({}))) == {"all"}


def test_a_group_is_routed_by_the_positions_of_its_alerts() -> None:
    channels = {
        "all": Filters(),
        "critical": Filters(severities=("critical",)),
        "firing": Filters(send_resolved=False),
        "none": Filters(severities=("none",)),
    }
    first, second = alert({"severity": "critical"}), alert({"severity": "info"}, Status.RESOLVED)
    routed = RoutingTable(1, channels, "tenant_id").route(group(first, second, first))
    assert routed == {"all": None, "critical": (0, 2), "firing": (0, 2)}


def test_an_invalid_channel_is_skipped_and_the_others_are_routed() -> None:
    channels = {
        "before": Filters(severities=("critical",)),
        "broken": Filters(severities=("critical",), matchers=("team=db", 'team=~"("')),
        "after": Filters(severities=("critical",)),
    }
    table = RoutingTable(7, channels, "tenant_id")
    assert list(table.match(alert(CRITICAL))) == ["before", "after"]
    assert set(table.invalid) == {"broken"}
    assert table.invalid["broken"].startswith("matchers[1]: ")
    assert table.version == 7


def test_a_channel_is_found_once_among_ten_thousand() -> None:
    channels = {f"c{n}": Filters(tenant_id=f"t{n}", severities=("critical", "warning")) for n in range(10_000)}
    table = RoutingTable(1, channels, "tenant_id")
    assert list(table.match(alert({"tenant_id": "t4711", "severity": "warning"}))) == ["c4711"]
