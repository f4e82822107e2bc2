"""Are exactly the channels found that want an alert?"""

import time
from datetime import UTC, datetime

import pytest

from relay.domain.alerts import Alert, Group, Status, fingerprint
from relay.domain.channel_types import Filters
from relay.route.table import MAX_KEYS, RoutingTable

CRITICAL = {"alertname": "DiskFull", "severity": "critical", "category": "errors", "tenant_id": "a", "team": "db"}
LISTED = ("severity", "alertname", "category")


def alert(labels: dict[str, str], status: Status = Status.FIRING) -> Alert:
    return Alert(
        status=status,
        labels=labels,
        annotations={},
        starts_at=datetime(2026, 11, 23, tzinfo=UTC),
        ends_at=None,
        generator_url="",
        fingerprint=fingerprint(labels),
    )


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


def wanted(filters: Filters, labels: dict[str, str], status: Status = Status.FIRING) -> bool:
    return list(RoutingTable(1, {"c": filters}, "tenant_id").match(alert(labels, status))) == ["c"]


@pytest.mark.parametrize(
    ("filters", "but"),
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
def test_each_filter_lets_its_own_pass_and_stops_the_rest(filters: Filters, but: dict[str, str]) -> None:
    assert wanted(filters, CRITICAL)
    assert not wanted(filters, CRITICAL | but)


def test_a_channel_without_filters_wants_everything() -> None:
    assert wanted(Filters(), {})
    assert wanted(Filters(), CRITICAL, Status.RESOLVED)


@pytest.mark.parametrize("label", ["tenant_id", "severity", "alertname", "category", "team"])
def test_all_filters_together_must_hold(label: str) -> None:
    filters = Filters(
        tenant_id="a",
        severities=("critical",),
        alert_names=("DiskFull", "Other"),
        alert_categories=("errors",),
        matchers=("team=db", "team=~d.", "severity!=info"),
    )
    assert wanted(filters, CRITICAL)
    assert not wanted(filters, CRITICAL | {label: "another"})
    assert not wanted(filters, {name: value for name, value in CRITICAL.items() if name != label})


def test_an_equality_matcher_takes_an_absent_label_for_the_empty_string() -> None:
    assert wanted(Filters(matchers=('team=""',)), {})
    assert wanted(Filters(matchers=('team=""',)), {"team": ""})
    assert not wanted(Filters(matchers=('team=""',)), {"team": "db"})


@pytest.mark.parametrize(
    "filters",
    [
        Filters(severities=("critical",), matchers=("severity=warning",)),
        Filters(matchers=("team=db", "team=web")),
        Filters(tenant_id="a", matchers=("tenant_id=b",)),
        Filters(severities=("critical",), matchers=("team=db", "team=web")),
    ],
)
def test_demands_that_contradict_match_nothing_and_harm_nobody(filters: Filters) -> None:
    table = RoutingTable(1, {"never": filters, "always": Filters()}, "tenant_id")
    for labels in (CRITICAL, CRITICAL | {"severity": "warning"}, CRITICAL | {"team": "web"}, {}):
        assert list(table.match(alert(labels))) == ["always"]


def test_demands_on_one_label_are_narrowed() -> None:
    filters = Filters(severities=("critical", "warning"), matchers=("severity=warning",))
    assert wanted(filters, {"severity": "warning"})
    assert not wanted(filters, {"severity": "critical"})


@pytest.mark.parametrize("at", [0, 17, 39])
def test_filters_of_many_combinations_still_hold_each(at: int) -> None:
    forty = tuple(f"v{n}" for n in range(40))
    assert len(forty) ** 3 > MAX_KEYS
    filters = Filters(severities=forty, alert_names=forty, alert_categories=forty)
    labels = {"severity": forty[at], "alertname": forty[-at - 1], "category": forty[at]}
    assert wanted(filters, labels)
    for label in labels:
        assert not wanted(filters, labels | {label: "v40"})
        assert not wanted(filters, {name: value for name, value in labels.items() if name != label})


def test_millions_of_combinations_are_not_laid_out() -> None:
    many = tuple(f"v{n}" for n in range(150))
    started = time.perf_counter()
    assert wanted(Filters(severities=many, alert_names=many, alert_categories=many), dict.fromkeys(LISTED, "v149"))
    assert time.perf_counter() - started < 1


def test_a_filter_of_a_thousand_values_holds() -> None:
    filters = Filters(alert_names=tuple(f"A{n}" for n in range(1000)), severities=("critical",))
    assert wanted(filters, {"alertname": "A999", "severity": "critical"})
    assert not wanted(filters, {"alertname": "A1000", "severity": "critical"})


def test_a_disabled_channel_wants_nothing() -> None:
    assert not wanted(Filters(enabled=False), CRITICAL)


def test_a_channel_may_decline_resolved_alerts() -> None:
    filters = Filters(send_resolved=False)
    assert wanted(filters, CRITICAL)
    assert not wanted(filters, CRITICAL, Status.RESOLVED)


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
        "nobody": Filters(severities=("none",)),
    }
    first, second = alert({"severity": "critical"}), alert({"severity": "info"}, Status.RESOLVED)
    routed = RoutingTable(1, channels, "tenant_id").route(group(first, second, first))
    assert routed == {"all": None, "critical": (0, 2), "firing": (0, 2)}


def test_a_broken_channel_is_set_aside_and_the_others_are_told() -> None:
    channels = {
        "before": Filters(severities=("critical",)),
        "broken": Filters(severities=("critical",), matchers=("team=db", 'team=~"("')),
        "after": Filters(severities=("critical",)),
    }
    table = RoutingTable(7, channels, "tenant_id")
    assert list(table.match(alert(CRITICAL))) == ["before", "after"]
    assert set(table.broken) == {"broken"}
    assert table.broken["broken"].startswith("matchers[1]: ")
    assert table.version == 7


def test_a_channel_is_found_once_among_ten_thousand() -> None:
    channels = {f"c{n}": Filters(tenant_id=f"t{n}", severities=("critical", "warning")) for n in range(10_000)}
    table = RoutingTable(1, channels, "tenant_id")
    assert list(table.match(alert({"tenant_id": "t4711", "severity": "warning"}))) == ["c4711"]
