"""Conversion of a decided batch into rows."""

from collections.abc import Mapping

import msgspec
import pytest

from relay.domain.alerts import Alert
from relay.domain.channel_types import Filters
from relay.domain.identity import group_hash
from relay.route.configuration import Configuration
from relay.route.silences import SilenceTable
from relay.route.table import RoutingTable
from tests.receive.histories import History, at, firing, incoming, resolved


def history(channels: Mapping[str, Filters]) -> History:
    return History(Configuration(RoutingTable(1, channels, "tenant_id"), SilenceTable(1, {})))


@pytest.fixture
def everything() -> History:
    return history({"all": Filters()})


def test_series_are_distinct_and_sorted(everything: History) -> None:
    everything.receive(
        *(incoming("10:00", firing(name), group=name) for name in "cabd"), incoming("10:01", firing("a"))
    )

    rows = everything.batches[-1].rows
    keys = [(row.tenant_id, row.source, row.identity) for row in rows.series]
    assert keys == sorted(set(keys))
    assert (len(rows.series), len(rows.alerts), len(rows.receipts)) == (4, 4, 5)


def test_a_receipt_refers_to_its_alerts_in_the_order_of_its_body(everything: History) -> None:
    everything.receive(incoming("10:00", *map(firing, "cab")))

    rows = everything.batches[-1].rows
    names = {row.id: row.alertname for row in rows.alerts}
    assert [names[alert_id] for alert_id in rows.receipts[0].alert_ids] == ["c", "a", "b"]


def test_an_alert_row_has_the_searchable_columns(everything: History) -> None:
    alert = firing("a", severity="critical", category="errors", tenant_id="t")
    alert = msgspec.structs.replace(alert, annotations={"summary": "ä"}, generator_url="http://p")
    everything.receive(incoming("10:01", alert))

    [row], [series] = everything.batches[-1].rows.alerts, everything.batches[-1].rows.series
    assert (row.tenant_id, row.fingerprint, row.alertname) == ("t", "a", "a")
    assert (row.first_received_at, row.end_reason) == (at("10:01"), None)
    assert (row.severity, row.category, row.generator_url, row.ends_at) == ("critical", "errors", "http://p", None)
    assert (row.annotations, series.labels) == ({"summary": "ä"}, alert.labels)
    assert (series.expected, series.open_alert_id) == (None, row.id)


def test_a_known_series_is_written_without_labels(everything: History) -> None:
    everything.receive(incoming("10:01", firing()))
    everything.receive(incoming("10:12", resolved()))

    [row], [series] = everything.batches[-1].rows.alerts, everything.batches[-1].rows.series
    assert (row.first_received_at, row.end_reason, row.ends_at) == (None, "resolved", at("10:10"))
    assert (series.expected, series.labels, series.open_alert_id) == (1, None, None)


def test_a_receipt_has_the_webhook_unchanged(everything: History) -> None:
    everything.receive(incoming("10:11", firing("a"), resolved("b"), body=b"as received", source="eu"))

    [row] = everything.batches[-1].rows.receipts
    assert (row.body, row.group_key, row.receiver, row.status) == (b"as received", "g", "relay", "firing")
    assert (row.group_hash, row.source, row.received_at) == (group_hash("g", "eu"), "eu", at("10:11"))


def test_an_alert_in_two_groups_is_written_once_and_delivered_for_both(everything: History) -> None:
    everything.receive(incoming("10:00", firing(), group="g1"), incoming("10:00", firing(), group="g2"))

    rows = everything.batches[-1].rows
    assert len(rows.alerts) == 1
    assert everything.delivered() == [None, None]
    assert set(rows.alerts[0].group_hashes) == {group_hash("g1"), group_hash("g2")}


def test_firing_then_resolved_is_resolved_and_delivers_both(everything: History) -> None:
    everything.receive(incoming("10:00", firing()), incoming("10:11", resolved()))

    rows = everything.batches[-1].rows
    assert [(row.end_reason, row.ends_at) for row in rows.alerts] == [("resolved", at("10:10"))]
    assert [row.status for row in rows.receipts] == ["firing", "resolved"]
    assert everything.delivered() == [None, None]


def test_the_other_alerts_of_a_late_webhook_are_delivered() -> None:
    channels = {
        "all": Filters(),
        "b": Filters(matchers=("alertname=b",)),
        "a": Filters(matchers=("alertname=a",)),
    }
    chosen = history(channels)
    chosen.receive(incoming("10:10:30", resolved("a")))
    [decision] = chosen.receive(incoming("10:10:40", firing("a"), firing("b"), sender="B"))

    found = {row.channel_id: row.positions for row in chosen.batches[-1].rows.deliveries}
    assert found == {"all": (1,), "b": (1,)}
    assert decision.suppressed == 1


def test_a_resolved_alert_without_an_end_ends_at_its_receipt(everything: History) -> None:
    alert = msgspec.structs.replace(resolved(), ends_at=None)
    everything.receive(incoming("10:11", alert))

    assert everything.batches[-1].rows.alerts[0].ends_at == at("10:11")


def test_tenants_do_not_share_series(everything: History) -> None:
    ours, theirs = (firing("a", tenant_id=tenant) for tenant in ("t1", "t2"))
    everything.receive(incoming("10:00", ours), incoming("10:00", theirs))

    assert {row.tenant_id for row in everything.batches[-1].rows.series} == {"t1", "t2"}


def test_the_newest_annotations_are_stored(everything: History) -> None:
    def described(value: str) -> Alert:
        return msgspec.structs.replace(firing(), annotations={"value": value})

    everything.receive(incoming("10:00", described("1")))
    everything.receive(incoming("10:00:30", described("2")))

    assert everything.batches[-1].rows.alerts[0].annotations == {"value": "2"}


def test_long_labels_are_truncated_only_in_indexed_columns(everything: History) -> None:
    labels = dict.fromkeys(("tenant_id", "severity", "category"), "é" * 5000)
    everything.receive(incoming("10:00", firing("é" * 5000, **labels)))

    [row], [series] = everything.batches[-1].rows.alerts, everything.batches[-1].rows.series
    assert row.tenant_id == row.alertname == row.severity == row.category == "é" * 255
    assert series.labels is not None
    assert series.labels["tenant_id"] == "é" * 5000


@pytest.mark.parametrize("key", ["", "g1", "{}:{}", "ü" * 100_000])
def test_a_group_hash_is_stable_and_fits_a_bigint(key: str) -> None:
    assert group_hash(key) == group_hash(key)
    assert -(2**63) <= group_hash(key) < 2**63


def test_a_group_hash_is_the_same_in_every_release() -> None:
    assert group_hash('{}:{alertname="Watchdog"}') == 4411843364382118425
    assert group_hash('{}:{alertname="Watchdog"}', "eu") != group_hash('{}:{alertname="Watchdog"}')


def test_group_hashes_have_both_signs_and_do_not_collide() -> None:
    hashes = {group_hash(str(n)) for n in range(10_000)}
    assert len(hashes) == 10_000
    assert min(hashes) < 0 < max(hashes)
