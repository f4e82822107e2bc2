"""What severities of other systems are like."""

from collections.abc import Iterator

import pytest

from relay.domain.alerts import Alert
from relay.domain.channel_types import Filters
from relay.domain.errors import SettingsError
from relay.domain.severities import extend_table, folded, level_of, parse_table, severity_rank
from relay.route.reasons import mismatch_reason
from relay.route.table import RoutingTable
from tests.receive.histories import firing


@pytest.fixture(autouse=True)
def common_table() -> Iterator[None]:
    yield
    extend_table({})


@pytest.mark.parametrize(
    ("severity", "level"),
    [
        ("critical", "critical"), ("Critical", "critical"), (" CRITICAL ", "critical"), ("page", "critical"),
        ("P1", "critical"), ("sev1", "critical"), ("emergency", "critical"), ("error", "error"), ("high", "error"),
        ("warn", "warning"), ("Warning", "warning"), ("P3", "warning"), ("information", "info"), ("none", "info"),
        ("gold", ""), ("", ""), ("critical,warning", ""),
    ],
)  # fmt: skip
def test_values_of_other_systems_are_like_a_usual_one(severity: str, level: str) -> None:
    assert level_of(severity) == level


def test_a_setting_extends_the_table() -> None:
    extend_table(parse_table("Gold=critical, silver = Warning,page=info,"))

    assert [level_of(value) for value in ("gold", "GOLD", "silver", "page")] == [
        *("critical", "critical", "warning", "info")
    ]
    assert severity_rank("gold") == 0
    extend_table({})
    assert severity_rank("gold") == 4


@pytest.mark.parametrize("text", ["gold", "gold=", "=critical", "gold=urgent", "gold:critical"])
def test_an_entry_that_names_no_usual_severity_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="RELAY_SEVERITIES"):
        parse_table(text)


def test_only_usual_severities_are_counted_in_lower_case() -> None:
    assert [folded(value) for value in ("Critical", "WARNING", "Gold", "Page")] == [
        *("critical", "warning", "Gold", "Page")
    ]


def routed(filters: Filters, alert: Alert) -> bool:
    found = list(RoutingTable(1, {"ops": filters}, "tenant_id").match(alert)) == ["ops"]
    assert found == (mismatch_reason(alert, filters, "tenant_id") is None)
    return found


@pytest.mark.parametrize("value", ["critical", "Critical", "CRITICAL"])
@pytest.mark.parametrize("wanted", ["critical", "Critical"])
def test_the_filter_of_severities_ignores_case_and_matchers_do_not(value: str, wanted: str) -> None:
    alert = firing("a", severity=value)
    assert routed(Filters(severities=(wanted,)), alert)
    assert routed(Filters(matchers=(f'severity="{wanted}"',)), alert) == (value == wanted)
    assert routed(Filters(severities=(wanted,), matchers=(f'severity="{value}"',)), alert)
    assert not routed(Filters(severities=("page",)), alert)
