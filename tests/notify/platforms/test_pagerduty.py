"""Incidents of PagerDuty: one for each alert, closed when that alert is resolved."""

import json
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from aiohttp import web

from relay.domain.alertmanager import MIN_TIME
from relay.domain.alerts import Alert
from relay.domain.channel_types import PagerDutyChannel
from relay.domain.errors import InvalidInput
from relay.domain.notifications import Message
from relay.domain.outcomes import Reason, Rejected, Retry, Sent
from relay.notify.platforms.pagerduty import dedup_key, severity
from relay.notify.registry import NOTIFIERS, check_channel
from relay.notify.transport.egress_policy import EgressPolicy
from tests.fixtures.sink import Sink, success
from tests.notify.factories import (
    ALERTMANAGER,
    FALLBACK,
    ROUTING_KEY,
    RUNBOOK,
    SOURCE,
    STARTED,
    alert,
    channel,
    count,
    digest,
    notification,
)
from tests.notify.hostile import hostile
from tests.notify.sending import send
from tests.notify.strict.pagerduty import StrictPagerDuty, error_response


def events(message: Message) -> list[Any]:
    requests = NOTIFIERS[PagerDutyChannel].requests(channel(PagerDutyChannel), message)
    return [json.loads(request.body) for request in requests]


async def test_500_hostile_alerts_are_one_incident_each(sink: Sink) -> None:
    sink.script = pagerduty = StrictPagerDuty(ROUTING_KEY)
    message = hostile()
    assert isinstance(await send(PagerDutyChannel, sink.url, message), Sent)
    assert len(pagerduty.open) == len(message.firing)
    assert len(pagerduty.closed) == 1, "the unnotified one"
    assert len(pagerduty.texts) == len(message.alerts) + 1


async def test_a_resolved_alert_closes_only_its_own_incident(sink: Sink) -> None:
    sink.script = pagerduty = StrictPagerDuty(ROUTING_KEY)
    both = notification(alert(instance="a"), alert(instance="b"))
    await send(PagerDutyChannel, sink.url, both)
    ended = alert(status="resolved", instance="a", annotations={"summary": "another summary"})
    await send(PagerDutyChannel, sink.url, notification(ended))
    assert list(pagerduty.open) == [dedup_key(both.alerts[1])]
    assert pagerduty.closed == [dedup_key(ended)]


async def test_a_repeated_alert_opens_no_second_incident(sink: Sink) -> None:
    sink.script = pagerduty = StrictPagerDuty(ROUTING_KEY)
    later = msgspec.structs.replace(alert(), starts_at=STARTED + timedelta(hours=1))
    for message in (alert(), later, alert()):
        await send(PagerDutyChannel, sink.url, notification(message))
    assert len(pagerduty.open) == 1


def test_tenants_do_not_share_incidents_even_with_equal_fingerprints() -> None:
    def of(tenant: str) -> Alert:
        return msgspec.structs.replace(alert(tenant_id=tenant), fingerprint="1")

    assert dedup_key(of("a")) != dedup_key(of("b"))
    assert dedup_key(of("a")) == dedup_key(of("a"))


async def test_an_unnotified_alert_is_opened_and_closed(sink: Sink) -> None:
    sink.script = pagerduty = StrictPagerDuty(ROUTING_KEY)
    message = notification(alert(status="resolved"), unnotified=frozenset({0}))
    trigger, resolve = events(message)
    assert (trigger["event_action"], trigger["payload"]["severity"]) == ("trigger", "info")
    assert trigger["payload"]["summary"].endswith("fired and resolved before a notification was sent")
    assert trigger["payload"]["timestamp"] == "2026-11-23T15:33:27Z"
    assert (resolve["event_action"], resolve["payload"]["timestamp"]) == ("resolve", "2026-11-23T15:40:27Z")
    await send(PagerDutyChannel, sink.url, message)
    assert (len(pagerduty.open), len(pagerduty.closed)) == (0, 1)


def test_firing_alerts_are_sent_before_resolved_ones() -> None:
    message = notification(alert("A", "resolved"), alert("B"), alert("C", "resolved"), alert("D"))
    assert [event["payload"]["class"] for event in events(message)] == ["B", "D", "A", "C"]


def test_an_event_follows_the_common_event_format() -> None:
    one = alert(
        instance="db1", job="postgres", cluster="north", annotations={"summary": "Full", "runbook_url": RUNBOOK}
    )
    [event] = events(msgspec.structs.replace(notification(one, truncated=3), fallback_for=FALLBACK))
    payload = event["payload"]
    assert (payload["source"], payload["component"], payload["group"]) == ("db1", "postgres", "north")
    assert (payload["summary"], payload["class"], payload["severity"]) == ("Full", "DiskFull", "critical")
    assert payload["custom_details"]["labels"] == one.labels
    assert payload["custom_details"]["annotations"] == one.annotations
    assert "Fallback for channel slack-critical" in payload["custom_details"]["notes"][0]
    assert "3 more alerts were left out" in payload["custom_details"]["notes"][1]
    hrefs = [link["href"] for link in event["links"]]
    assert hrefs == [SOURCE, RUNBOOK, f"{ALERTMANAGER}/#/alerts?receiver=web%5C.hook"]
    assert event["client"] == "Alert Relay"


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ("critical", "critical"),
        ("error", "error"),
        ("warning", "warning"),
        ("info", "info"),
        (" Critical ", "critical"),
        ("page", "critical"),
        ("P3", "warning"),
        ("gold", "error"),
        ("", "error"),
    ],
)
def test_an_unknown_severity_is_sent_as_error(label: str, expected: str) -> None:
    assert severity(label) == expected


def test_an_event_without_a_known_start_has_no_timestamp() -> None:
    [event] = events(notification(msgspec.structs.replace(alert(), starts_at=MIN_TIME)))
    assert "timestamp" not in event["payload"]


@pytest.mark.parametrize("text", ["", "   ", "\n\t"])
def test_a_blank_summary_is_replaced_by_the_name(text: str) -> None:
    [event] = events(notification(alert(annotations={"summary": text})))
    assert event["payload"]["summary"] == "DiskFull"


@pytest.mark.parametrize(
    ("labels", "value"), [(1, "é" * 400_000), (400, "🔥" * 5000), (20_000, "x" * 50), (3, "\x01" * 90_000)]
)
async def test_an_event_of_more_than_512_kb_is_cut(labels: int, value: str, sink: Sink) -> None:
    sink.script = pagerduty = StrictPagerDuty(ROUTING_KEY)
    huge = {f"label_{at}": value for at in range(labels)}
    one = msgspec.structs.replace(alert(), labels=alert().labels | huge, annotations=huge | {"summary": "Full"})
    assert isinstance(await send(PagerDutyChannel, sink.url, notification(one)), Sent)
    assert "EVENT Full" in pagerduty.texts[0]
    assert "Labels and annotations were cut" in pagerduty.texts[0]


async def test_a_digest_is_one_incident_and_closes_those_of_its_resolved_alerts(sink: Sink) -> None:
    sink.script = pagerduty = StrictPagerDuty(ROUTING_KEY)
    over = alert("Over", "resolved")
    pagerduty.open[dedup_key(over)] = "critical"
    message = digest(count("A"), count("B", "warning"), alerts=(alert("A"), over))
    await send(PagerDutyChannel, sink.url, message)
    await send(PagerDutyChannel, sink.url, message)
    assert pagerduty.open == {"alert-relay-digest-42": "critical"}
    assert pagerduty.closed == [dedup_key(over)]
    assert "EVENT [DIGEST of 27 groups] FIRING:2" in pagerduty.texts[0]
    assert "warning 🔥1: B 🔥1" in pagerduty.texts[0]


async def test_a_digest_of_resolved_alerts_closes_its_incident(sink: Sink) -> None:
    sink.script = pagerduty = StrictPagerDuty(ROUTING_KEY)
    await send(PagerDutyChannel, sink.url, digest(count("A", firing=0, resolved=3)))
    assert (pagerduty.open, pagerduty.closed) == ({}, ["alert-relay-digest-42"])


async def test_an_unknown_routing_key_is_retried(sink: Sink) -> None:
    sink.script = StrictPagerDuty("another")
    outcome = await send(PagerDutyChannel, sink.url)
    assert isinstance(outcome, Retry)
    assert outcome.reason is Reason.AUTH_ERROR


async def test_the_events_after_a_rejected_one_are_sent(sink: Sink) -> None:
    errors = iter([error_response("'payload.summary' is missing or blank")])
    sink.script = lambda request: next(errors, None) or success(request)
    outcome = await send(PagerDutyChannel, sink.url, notification(alert("A"), alert("B"), alert("C")))
    assert isinstance(outcome, Rejected)
    assert "part 1 of 3: 400" in outcome.detail
    assert [request.json["payload"]["class"] for request in sink.received] == ["A", "B", "C"]


async def test_an_echoed_routing_key_is_masked(sink: Sink) -> None:
    sink.script = lambda _: web.Response(status=400, text=f"no service has {ROUTING_KEY}")
    outcome = await send(PagerDutyChannel, sink.url)
    assert outcome.detail == "400 no service has ********"


@pytest.mark.parametrize("key", ["", "x" * 31, "x" * 33, "x" * 31 + "/"])
def test_malformed_routing_keys_are_rejected(key: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        check_channel(channel(PagerDutyChannel, routing_key=key), EgressPolicy(()))
    assert caught.value.field == "routing_key"
