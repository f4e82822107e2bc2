"""Conversion of a batch of webhooks into rows."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from relay.domain.alertmanager import decode_webhook
from relay.domain.channel_types import Filters
from relay.receive.batch import Batch, Webhook, build_batch, group_hash
from relay.route.table import RoutingTable

NOW = datetime(2026, 11, 23, 16, 0, tzinfo=UTC)
EVERYTHING = {"all": Filters()}


def alert(instance: str, status: str = "firing", **more: Any) -> dict[str, Any]:
    labels = {"alertname": "DiskFull", "instance": instance, "tenant_id": "t"} | more.pop("labels", {})
    ended = {"endsAt": "2026-11-23T15:50:00Z"} if status == "resolved" else {}
    return {"status": status, "labels": labels, "startsAt": "2026-11-23T15:33:27Z"} | ended | more


def webhook(*alerts: dict[str, Any], **more: Any) -> Webhook:
    body = json.dumps({"groupKey": "g1", "receiver": "relay", "alerts": alerts} | more).encode()
    return Webhook(body=body, group=decode_webhook(body))


def batch(*webhooks: Webhook, channels: Mapping[str, Filters] = EVERYTHING) -> Batch:
    return build_batch(webhooks, RoutingTable(1, channels, "tenant_id"), NOW)


def delivered(built: Batch) -> list[dict[str, tuple[int, ...] | None]]:
    return [{row.channel_id: row.positions for row in webhook.deliveries} for webhook in built.webhooks]


def test_alerts_are_distinct_and_sorted() -> None:
    names = ["c", "a", "b", "a"]
    built = batch(*[webhook(alert(name), alert(f"{name}2"), groupKey=name) for name in names])
    keys = [(row.tenant_id, row.fingerprint, row.starts_at) for row in built.alerts]
    assert keys == sorted(set(keys))
    assert len(keys) == 6


def test_a_webhook_refers_to_its_alerts_in_the_order_of_its_body() -> None:
    instances = ["c", "a", "b"]
    built = batch(webhook(*map(alert, instances)))
    found = [json.loads(built.alerts[at].labels)["instance"] for at in built.webhooks[0].alerts]
    assert found == instances


def test_an_alert_row_has_the_searchable_columns() -> None:
    labels = {"severity": "critical", "category": "errors"}
    sent = alert("a", labels=labels, annotations={"summary": "ä"}, generatorURL="http://p", fingerprint="f")
    (row,) = batch(webhook(sent)).alerts
    assert (row.tenant_id, row.fingerprint, row.status, row.alertname) == ("t", "f", "firing", "DiskFull")
    assert (row.severity, row.category, row.generator_url) == ("critical", "errors", "http://p")
    assert (row.ends_at, json.loads(row.annotations)) == (None, {"summary": "ä"})
    assert json.loads(row.labels) == sent["labels"]


def test_a_webhook_is_stored_unchanged() -> None:
    received = webhook(alert("a"), alert("b", "resolved"))
    (row,) = batch(received).webhooks
    assert (row.body, row.group_key, row.receiver, row.status) == (received.body, "g1", "relay", "firing")
    assert row.firing == (True, False)
    assert row.group_hash == group_hash("g1")


def test_an_alert_in_two_groups_is_written_once_and_delivered_for_both() -> None:
    built = batch(webhook(alert("a"), groupKey="g1"), webhook(alert("a"), groupKey="g2"))
    assert len(built.alerts) == 1
    assert [row.alerts for row in built.webhooks] == [(0,), (0,)]
    assert delivered(built) == [{"all": None}, {"all": None}]
    assert set(built.alerts[0].group_hashes) == {group_hash("g1"), group_hash("g2")}


def test_firing_then_resolved_is_resolved_and_delivers_both() -> None:
    built = batch(webhook(alert("a")), webhook(alert("a", "resolved")))
    (row,) = built.alerts
    assert (row.status, row.ends_at) == ("resolved", datetime(2026, 11, 23, 15, 50, tzinfo=UTC))
    assert [row.firing for row in built.webhooks] == [(True,), (False,)]
    assert [row.status for row in built.webhooks] == ["firing", "resolved"]
    assert delivered(built) == [{"all": None}, {"all": None}]
    assert built.late == (0, 0)


def test_a_late_firing_report_is_not_delivered() -> None:
    built = batch(webhook(alert("a", "resolved")), webhook(alert("a")))
    assert [row.status for row in built.alerts] == ["resolved"]
    assert delivered(built) == [{"all": None}, {}]
    assert built.late == (0, 1)


def test_the_other_alerts_of_a_late_webhook_are_delivered() -> None:
    channels = {"all": Filters(), "b": Filters(matchers=("instance=b",)), "a": Filters(matchers=("instance=a",))}
    built = batch(webhook(alert("a", "resolved")), webhook(alert("a"), alert("b")), channels=channels)
    assert delivered(built)[1] == {"all": (1,), "b": (1,)}
    assert built.late == (0, 1)


def test_an_alert_with_a_new_start_is_another_occurrence() -> None:
    again = alert("a", startsAt="2026-11-23T15:55:00Z")
    built = batch(webhook(alert("a", "resolved")), webhook(again))
    assert [row.status for row in built.alerts] == ["resolved", "firing"]
    assert built.late == (0, 0)


def test_a_resolved_alert_without_an_end_ends_at_its_receipt() -> None:
    (row,) = batch(webhook(alert("a", "resolved", endsAt="0001-01-01T00:00:00Z"))).alerts
    assert row.ends_at == NOW


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"externalURL": "http://peer-2:9093"},
        {"receiver": "other"},
        {"notification_reason": "repeat interval elapsed"},
    ],
)
def test_webhooks_with_the_same_state_share_a_row(changes: dict[str, Any]) -> None:
    built = batch(webhook(alert("a")), webhook(alert("b"), groupKey="g2"), webhook(alert("a"), **changes))
    assert built.row_of == (0, 1, 0)
    assert len(built.webhooks) == 2


def test_the_order_of_alerts_does_not_change_the_state() -> None:
    built = batch(webhook(alert("a"), alert("b")), webhook(alert("b"), alert("a")))
    assert built.row_of == (0, 0)


def test_annotations_do_not_change_the_state_and_the_newest_are_kept() -> None:
    old, new = ({"value": "1"}, {"value": "2"})
    built = batch(webhook(alert("a", annotations=old)), webhook(alert("a", annotations=new)))
    assert built.row_of == (0, 0)
    assert json.loads(built.alerts[0].annotations) == new


@pytest.mark.parametrize(
    "second",
    [
        webhook(alert("a", "resolved"), alert("b")),
        webhook(alert("a")),
        webhook(alert("a"), alert("b"), alert("c")),
        webhook(alert("a"), alert("b", startsAt="2026-11-23T15:34:00Z")),
        webhook(alert("a"), alert("b"), truncatedAlerts=1),
        webhook(alert("a"), alert("b"), groupKey="g2"),
    ],
)
def test_another_state_has_its_own_row(second: Webhook) -> None:
    assert batch(webhook(alert("a"), alert("b")), second).row_of == (0, 1)


def test_tenants_share_neither_alerts_nor_rows() -> None:
    ours, theirs = (alert("a", labels={"tenant_id": tenant}, fingerprint="same") for tenant in ("t1", "t2"))
    built = batch(webhook(ours), webhook(theirs))
    assert [row.tenant_id for row in built.alerts] == ["t1", "t2"]
    assert built.row_of == (0, 1)


def test_long_labels_are_truncated_only_in_indexed_columns() -> None:
    labels = dict.fromkeys(("tenant_id", "alertname", "severity", "category"), "é" * 5000)
    (row,) = batch(webhook(alert("a", labels=labels))).alerts
    assert row.tenant_id == row.alertname == row.severity == row.category == "é" * 255
    assert json.loads(row.labels)["tenant_id"] == "é" * 5000


def test_an_alert_without_labels_has_no_tenant_and_no_severity() -> None:
    (row,) = batch(webhook({"status": "firing", "labels": {}, "startsAt": "2026-11-23T15:33:27Z"})).alerts
    assert (row.tenant_id, row.alertname, row.severity, row.category) == ("", "", None, None)


@pytest.mark.parametrize("key", ["", "g1", "{}:{}", "ü" * 100_000])
def test_a_group_hash_is_stable_and_fits_a_bigint(key: str) -> None:
    assert group_hash(key) == group_hash(key)
    assert -(2**63) <= group_hash(key) < 2**63


def test_a_group_hash_is_the_same_in_every_release() -> None:
    assert group_hash('{}:{alertname="Watchdog"}') == 4411843364382118425


def test_group_hashes_have_both_signs_and_do_not_collide() -> None:
    hashes = {group_hash(str(n)) for n in range(10_000)}
    assert len(hashes) == 10_000
    assert min(hashes) < 0 < max(hashes)
