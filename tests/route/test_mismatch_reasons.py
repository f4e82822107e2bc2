"""Mismatch reasons, which always agree with the routing table."""

import random

import msgspec
import pytest

from relay.domain.alerts import Alert, Status
from relay.domain.channel_types import LABEL_FILTERS, Filters
from relay.domain.channels import parse_channel
from relay.domain.errors import InvalidInput
from relay.route.reasons import mismatch_reason
from relay.route.table import RoutingTable

from .factories import alert

LABELS = ("tenant_id", "severity", "alertname", "category", "team")
VALUES = ("", "a", "b", "c")
PATTERNS = ("a|b", "[^a]", ".*", ".+", "a?", "", "c")


@pytest.mark.parametrize(
    ("filters", "reason"),
    [
        (Filters(enabled=False), "the channel is disabled"),
        (Filters(source="eu"), "source: expected eu; the alert has ''"),
        (Filters(tenant_id="b"), "tenant_id: expected b; the alert has 'a'"),
        (
            Filters(severities=("critical", "warning")),
            "severities: expected critical, warning; the alert has 'info'",
        ),
        (Filters(alert_names=("Watchdog",)), "alert_names: expected Watchdog; the alert has 'DiskFull'"),
        (Filters(alert_categories=("errors",)), "alert_categories: expected errors; the alert has ''"),
        (Filters(matchers=("severity=info", "team=~db|web")), "matchers: team=~\"db|web\" does not match ''"),
        (Filters(send_resolved=False), "send_resolved: the channel does not get resolved alerts"),
    ],
)
def test_the_first_filter_that_does_not_match_is_the_reason(filters: Filters, reason: str) -> None:
    resolved = alert({"tenant_id": "a", "severity": "info", "alertname": "DiskFull"}, Status.RESOLVED)
    assert mismatch_reason(resolved, filters, "tenant_id") == reason


def test_a_match_has_no_reason() -> None:
    filters = Filters(tenant_id="a", severities=("info",), matchers=("team=",), send_resolved=False)
    assert mismatch_reason(alert({"tenant_id": "a", "severity": "info"}), filters, "tenant_id") is None


@pytest.mark.parametrize(("field", "label"), LABEL_FILTERS.items())
def test_every_label_filter_is_routed_explained_and_validated(field: str, label: str) -> None:
    filters = msgspec.convert({field: ["x"]}, Filters)
    table = RoutingTable(1, {"c": filters}, "tenant_id")

    assert list(table.match(alert({label: "x"}))) == ["c"]
    assert list(table.match(alert({label: "y"}))) == []
    assert mismatch_reason(alert({label: "x"}), filters, "tenant_id") is None
    assert mismatch_reason(alert({label: "y"}), filters, "tenant_id") == f"{field}: expected x; the alert has 'y'"
    with pytest.raises(InvalidInput, match=rf"{field}\[0\]: must not be empty"):
        parse_channel({"channel_type": "slack", "name": "A", "webhook_url": "https://x.example.com", field: [""]})


def sample_of(chance: random.Random, values: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(chance.sample(values, chance.randint(1, 3))) if chance.random() < 0.3 else ()


def any_matcher(chance: random.Random) -> str:
    operator = chance.choice(("=", "=", "!=", "=~", "!~"))
    value = chance.choice(PATTERNS if "~" in operator else VALUES)
    return f'{chance.choice(LABELS)}{operator}"{value}"'


def any_filters(chance: random.Random) -> Filters:
    return Filters(
        enabled=chance.random() < 0.9,
        tenant_id=chance.choice(VALUES[1:]) if chance.random() < 0.3 else None,
        source=chance.choice(VALUES[1:]) if chance.random() < 0.3 else None,
        severities=sample_of(chance, VALUES[1:]),
        alert_names=sample_of(chance, VALUES[1:]),
        alert_categories=sample_of(chance, VALUES[1:]),
        matchers=tuple(any_matcher(chance) for _ in range(chance.choice((0, 0, 1, 2, 3)))),
        send_resolved=chance.random() < 0.8,
    )


def any_alert(chance: random.Random) -> Alert:
    labels = {label: chance.choice(VALUES) for label in LABELS if chance.random() < 0.8}
    return alert(labels, chance.choice(list(Status)))


@pytest.mark.parametrize("tenant_label", ["tenant_id", "severity", "absent"])
@pytest.mark.parametrize("seed", range(5))
def test_the_routing_table_and_the_reasons_agree(seed: int, tenant_label: str) -> None:
    chance = random.Random(seed)
    channels = {f"c{n}": any_filters(chance) for n in range(60)}
    table = RoutingTable(1, channels, tenant_label)
    matched_count = unmatched_count = 0
    for _ in range(60):
        one = any_alert(chance)
        source = chance.choice(VALUES)
        matched = list(table.match(one, source))
        assert len(matched) == len(set(matched))
        for channel_id, filters in channels.items():
            reason = mismatch_reason(one, filters, tenant_label, source)
            assert (channel_id in matched) == (reason is None), (filters, one.labels, one.status, reason)
        matched_count += len(matched)
        unmatched_count += len(channels) - len(matched)
    assert table.invalid == {}
    assert min(matched_count, unmatched_count) > 50, "the cases must cover both results"


def wide_filters(chance: random.Random, values: tuple[str, ...]) -> Filters:
    lists = [tuple(chance.sample(values, chance.randint(15, 39))) for _ in range(3)]
    return Filters(severities=lists[0], alert_names=lists[1], alert_categories=lists[2])


@pytest.mark.parametrize("seed", range(3))
def test_routing_and_reasons_agree_on_filters_with_many_combinations(seed: int) -> None:
    chance = random.Random(seed)
    values = tuple(f"v{n}" for n in range(40))
    channels = {f"c{n}": wide_filters(chance, values) for n in range(20)}
    table = RoutingTable(1, channels, "tenant_id")
    for _ in range(50):
        one = alert({label: chance.choice(values) for label in ("severity", "alertname", "category")})
        matched = set(table.match(one))
        assert matched == {
            name for name, filters in channels.items() if not mismatch_reason(one, filters, "tenant_id")
        }
