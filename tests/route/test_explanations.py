"""Explanations from what is stored, without a database."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from relay.domain.evidence import AlertFacts, DeliveryFacts, Evidence, ReceiptFacts, VersionFacts, Versions
from relay.domain.history import Kind, State
from relay.domain.principals import Tenants
from relay.domain.why import Verdict
from relay.route.explanations import Explainer

START = datetime(2026, 11, 23, 12, tzinfo=UTC)
LABELS = {"alertname": "Down", "severity": "warning"}


def at(minute: int) -> datetime:
    return START + timedelta(minutes=minute)


def receipt(number: int, config_version: int | None = 1, **fields: Any) -> ReceiptFacts:
    given: dict[str, Any] = {"source": "", "sender": None, "late": False} | fields
    return ReceiptFacts(id=number, received_at=at(number), config_version=config_version, **given)


def version(number: int, config_version: int | None = None, **fields: Any) -> VersionFacts:
    given: dict[str, Any] = {"at": at(number), "tenant_id": None, "body": {"name": "Ops"}} | fields
    return VersionFacts(object_id="ops", number=number, config_version=config_version, **given)


def delivery(number: int, receipt_id: int, state: State = State.DELIVERED, **fields: Any) -> DeliveryFacts:
    given: dict[str, Any] = {
        "tenant_id": None,
        "kind": Kind.GROUP,
        "attempts": 1,
        "created_at": at(receipt_id),
        "delivered_at": at(receipt_id) if state is State.DELIVERED else None,
        "next_attempt_at": None,
        "merged_into": None,
        "fallback_of": None,
        "last_reason": None,
        "last_error": None,
        "suppressed_by": (),
        "config_version": None,
        "contains": True,
        "omits": False,
    } | fields
    channel_id = given.pop("channel_id", "ops")
    return DeliveryFacts(id=number, receipt_id=receipt_id, channel_id=channel_id, state=state, **given)


def explainer(
    receipts: list[ReceiptFacts],
    versions: list[VersionFacts],
    deliveries: list[DeliveryFacts] | None = None,
    resolved_at: datetime | None = None,
    tenants: Tenants = None,
) -> Explainer:
    alert = AlertFacts(
        id=7,
        tenant_id=None,
        labels=LABELS,
        first_received_at=at(0),
        last_received_at=at(60),
        resolved_received_at=resolved_at,
        group_hashes=(1,),
    )
    evidence = Evidence(
        alert=alert,
        receipts=receipts,
        repeats=[],
        deliveries=deliveries or [],
        channels={"ops": Versions(versions)},
        silences={},
        acknowledgements=[],
    )
    return Explainer(evidence, tenants, "tenant_id")


def test_each_webhook_is_explained_by_the_version_in_force() -> None:
    versions = [
        version(1, 5, body={"name": "Ops", "severities": ["critical"]}),
        version(2, 6, body={"name": "Ops", "matchers": ["team=db"]}),
        version(3, 7, body=None),
    ]

    found = explainer([receipt(at, at + 3) for at in range(1, 5)], versions).webhooks("ops")

    assert [(one.verdict, one.filter) for one in found] == [
        (Verdict.ABSENT, None),
        (Verdict.NOT_MATCHED, "severities"),
        (Verdict.NOT_MATCHED, "matchers"),
        (Verdict.ABSENT, None),
    ]


def test_versions_without_a_configuration_version_are_compared_by_their_times() -> None:
    versions = [
        version(1, None, at=at(-5), body={"name": "Ops", "severities": ["critical"]}),
        version(2, 9, body={"name": "Ops", "enabled": False}),
        version(3, None, at=at(30), body={"name": "Ops", "enabled": False}, held=True),
    ]

    found = explainer([receipt(8, 8), receipt(9, 9), receipt(40, 9)], versions).webhooks("ops")

    assert [one.verdict for one in found] == [Verdict.NOT_MATCHED, Verdict.DISABLED, Verdict.UNKNOWN]
    assert found[-1].detail == "not known: the channel matched, and no delivery is stored"


def test_the_end_that_another_webhook_reported_before_is_a_duplicate() -> None:
    receipts = [receipt(1), receipt(2), receipt(3)]
    deliveries = [delivery(11, 1), delivery(12, 2)]

    found = explainer(receipts, [version(1, 1)], deliveries, resolved_at=at(2)).webhooks("ops")

    assert [(one.verdict, one.firing, one.duplicate_of) for one in found] == [
        (Verdict.SENT, True, None),
        (Verdict.SENT, False, None),
        (Verdict.DUPLICATE, False, 2),
    ]


def test_the_last_message_explains_a_channel_with_what_happened_since() -> None:
    receipts = [receipt(1), receipt(2), receipt(3, late=True)]
    deliveries = [delivery(11, 1), delivery(12, 2, State.DEAD, last_error="400 no\nsuch field")]

    found = explainer(receipts, [version(1, 1)], deliveries).channel("ops")

    assert (found.verdict, found.receipt_id, found.delivery_id) == (Verdict.SENT, 1, 11)
    assert found.detail == "sent at 2026-11-23T12:01:00Z; the last webhook: not sent: 400 no such field"


@pytest.mark.parametrize(
    ("state", "fields", "text"),
    [
        (State.DELIVERED, {}, "merged into the delivery 30, which was sent at 2026-11-23T12:02:00Z"),
        (State.PENDING, {"attempts": 0}, "merged into the delivery 30, which waits to be sent"),
        (State.DEAD, {"last_reason": "expired"}, "merged into the delivery 30, which was not sent: expired"),
        (
            State.DELIVERED,
            {"channel_id": "second"},
            "merged into the delivery 30 of the fallback channel second, which was sent at 2026-11-23T12:02:00Z",
        ),
    ],
)
def test_a_merged_delivery_is_followed_to_its_message(state: State, fields: dict[str, Any], text: str) -> None:
    deliveries = [
        delivery(10, 1, State.MERGED, merged_into=20),
        delivery(20, 2, State.MERGED, merged_into=30, contains=False),
        delivery(30, 2, state, contains=False, **fields),
    ]

    found = explainer([receipt(1)], [version(1, 1)], deliveries).channel("ops")

    assert (found.verdict, found.message_id, found.message_state) == (Verdict.MERGED, 30, state)
    assert found.detail == text


def test_an_alert_that_was_left_out_of_a_message_was_suppressed() -> None:
    deliveries = [
        delivery(10, 1, State.MERGED, merged_into=20),
        delivery(20, 2, omits=True, contains=False),
        delivery(
            21, 2, State.SUPPRESSED, suppressed_by=("silence:x",), config_version=4, contains=False, attempts=0
        ),
    ]

    found = explainer([receipt(1)], [version(1, 1)], deliveries).channel("ops")

    assert (found.verdict, found.delivery_id, found.config_version) == (Verdict.SUPPRESSED, 21, 4)
    assert [(one.kind, one.id) for one in found.suppressed_by] == [("silence", "x")]
    assert found.detail == "not sent: silenced"


def test_a_suppressed_alert_that_was_resolved_before_the_release_is_in_no_message() -> None:
    deliveries = [
        delivery(10, 1, State.MERGED, merged_into=20, suppressed_by=("silence:x",)),
        delivery(20, 2, kind=Kind.RELEASE, omits=True, contains=False),
    ]

    found = explainer([receipt(1)], [version(1, 1)], deliveries).channel("ops")

    assert (found.verdict, found.message_id) == (Verdict.SUPPRESSED, None)
    assert found.detail == "not sent: silenced; the alert was resolved before that ended"


def test_what_belongs_to_other_tenants_is_not_seen() -> None:
    mine = frozenset({"acme"})
    versions = [
        version(1, 1, tenant_id="globex"),
        version(2, 2, tenant_id="acme", body={"name": "Mine", "tenant_id": "acme"}),
    ]
    deliveries = [delivery(11, 1, tenant_id="globex")]

    found = explainer([receipt(1), receipt(2, 2)], versions, deliveries, tenants=mine).webhooks("ops")

    assert [one.verdict for one in found] == [Verdict.ABSENT, Verdict.NOT_MATCHED]
