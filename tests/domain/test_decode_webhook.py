"""Decoding of real webhooks."""

import json
import pathlib
from datetime import UTC, datetime
from typing import Any

import pytest

from relay.domain.alertmanager import MAX_COUNT, decode_webhook
from relay.domain.alerts import Group, Status, fingerprint, status_of

SAMPLES = pathlib.Path(__file__).parent.parent / "samples"
FIRING, RESOLVED = Status.FIRING, Status.RESOLVED


def sample(name: str) -> dict[str, Any]:
    body: dict[str, Any] = json.loads((SAMPLES / f"alertmanager-0.25-{name}.json").read_text())
    return body


def decoded(body: dict[str, Any]) -> Group:
    return decode_webhook(json.dumps(body).encode())


@pytest.mark.parametrize(
    ("name", "statuses", "truncated"),
    [
        ("firing-two", [FIRING, FIRING], 0),
        ("mixed-one-resolved", [RESOLVED, FIRING], 0),
        ("resolved", [RESOLVED], 0),
        ("truncated", [FIRING, FIRING], 3),
        ("watchdog", [FIRING], 0),
    ],
)
def test_a_real_webhook_is_decoded(name: str, statuses: list[Status], truncated: int) -> None:
    group = decode_webhook((SAMPLES / f"alertmanager-0.25-{name}.json").read_bytes())
    assert [alert.status for alert in group.alerts] == statuses
    assert group.truncated == truncated
    assert group.external_url == "http://alertmanager.example.com:9093"
    assert group.group_key == sample(name)["groupKey"]
    assert [fingerprint(alert.labels) for alert in group.alerts] == [a.fingerprint for a in group.alerts]


def test_every_field_of_an_alert_is_kept() -> None:
    group = decoded(sample("mixed-one-resolved"))
    resolved, firing = group.alerts
    assert (resolved.name, resolved.severity, resolved.labels["instance"]) == (
        "HighErrorRate",
        "warning",
        "api-1:8000",
    )
    assert resolved.annotations["summary"] == "High error rate detected"
    assert resolved.starts_at == datetime(2026, 11, 23, 15, 33, 27, 229046, UTC)
    assert resolved.ends_at == datetime(2026, 11, 23, 15, 37, 29, 730585, UTC)
    assert resolved.generator_url.startswith("http://prometheus.example.com:9090/graph?")
    assert (firing.status, firing.ends_at) == (FIRING, None)
    assert group.receiver == r"alert\.relay"
    assert group.group_labels == {"alertname": "HighErrorRate", "tenant_id": "tenant-a"}
    assert "instance" not in group.common_labels
    assert group.common_annotations["runbook_url"] == "https://runbooks.example.com/HighErrorRate"


def test_a_group_is_firing_while_one_alert_is() -> None:
    assert status_of(decoded(sample("mixed-one-resolved")).alerts) is FIRING
    assert status_of(decoded(sample("resolved")).alerts) is RESOLVED


def test_the_status_of_an_alert_overrides_that_of_the_group() -> None:
    body = sample("resolved") | {"status": "firing"}
    assert [alert.status for alert in decoded(body).alerts] == [RESOLVED]


@pytest.mark.parametrize(
    "more",
    [
        {"notification_reason": "new alerts added", "routeLabels": {"team": "db"}},
        {"orgId": 1, "title": "t", "state": "alerting", "message": "m", "appVersion": None},
        {"from-tomorrow": [{"any": [None, 1.5, True]}]},
    ],
)
def test_unknown_fields_of_the_webhook_are_ignored(more: dict[str, Any]) -> None:
    assert decoded(sample("firing-two") | more) == decoded(sample("firing-two"))


@pytest.mark.parametrize("ends_at", ["2026-11-23T19:00:00Z", "0001-01-01T00:00:00Z", "", None])
def test_a_firing_alert_has_no_end(ends_at: str | None) -> None:
    body = sample("watchdog")
    body["alerts"][0]["endsAt"] = ends_at
    assert decoded(body).alerts[0].ends_at is None


def test_a_resolved_alert_without_an_end_is_still_resolved() -> None:
    body = sample("resolved")
    body["alerts"][0]["endsAt"] = "0001-01-01T00:00:00Z"
    (alert,) = decoded(body).alerts
    assert (alert.status, alert.ends_at) == (RESOLVED, None)


@pytest.mark.parametrize("given", ["absent", None, "", "f" * 129])
def test_a_missing_or_too_long_fingerprint_is_computed_as_in_alertmanager(given: str | None) -> None:
    body = sample("watchdog")
    body["alerts"][0]["fingerprint"] = given
    if given == "absent":
        del body["alerts"][0]["fingerprint"]
    assert decoded(body).alerts[0].fingerprint == "448881ef475b9b26"


def test_a_fingerprint_of_another_sender_is_kept() -> None:
    body = sample("watchdog")
    body["alerts"][0]["fingerprint"] = "not-an-alertmanager"
    assert decoded(body).alerts[0].fingerprint == "not-an-alertmanager"


def test_the_fingerprint_does_not_depend_on_the_order_of_labels() -> None:
    assert fingerprint({"b": "2", "a": "1"}) == fingerprint({"a": "1", "b": "2"})
    assert fingerprint({"a": "12"}) != fingerprint({"a1": "2"})
    assert fingerprint({}) == "cbf29ce484222325"


def test_a_minimal_webhook_is_decoded() -> None:
    alert = {"status": "firing", "labels": {}, "startsAt": "2026-11-23T15:33:27Z"}
    group = decoded({"alerts": [alert], "groupLabels": {"b": 'x"y', "a": "1"}})
    assert (group.receiver, group.truncated, group.external_url) == ("", 0, "")
    assert group.group_key == r'{}:{a="1", b="x\"y"}'
    assert (group.alerts[0].name, group.alerts[0].annotations) == ("", {})


@pytest.mark.parametrize(("sent", "kept"), [(-1, 0), (2**64 - 1, MAX_COUNT), (10**30, MAX_COUNT), (None, 0)])
def test_an_invalid_count_of_truncated_alerts_is_clamped(sent: int | None, kept: int) -> None:
    assert decoded(sample("truncated") | {"truncatedAlerts": sent}).truncated == kept


def test_a_group_of_ten_thousand_alerts_is_complete() -> None:
    template = sample("watchdog")["alerts"][0]
    alerts = [template | {"labels": {"n": str(n)}, "fingerprint": f"{n:016x}"} for n in range(10_000)]
    group = decoded(sample("watchdog") | {"alerts": alerts})
    assert [alert.labels["n"] for alert in group.alerts] == [str(n) for n in range(10_000)]


def test_an_annotation_of_64_kib_is_kept() -> None:
    body = sample("watchdog")
    body["alerts"][0]["annotations"] = {"description": "ä" * 65_536}
    assert decoded(body).alerts[0].annotations["description"] == "ä" * 65_536
