"""Bounds on the labels and annotations of an alert."""

import json
from datetime import UTC, datetime

import pytest

from relay.domain.alertmanager import decode_webhook
from relay.domain.alerts import Alert, Group
from relay.domain.bounds import MAX_ANNOTATION, MAX_LABEL, MAX_PAIRS
from relay.domain.decoded import decode
from relay.domain.identity import hashes_of

NOW = datetime(2026, 11, 23, 16, tzinfo=UTC)


def body_of(labels: dict[str, str], annotations: dict[str, str] | None = None, url: str = "") -> bytes:
    alert = {
        "status": "firing",
        "labels": labels,
        "annotations": annotations or {},
        "startsAt": "2026-11-23T15:33:27Z",
        "generatorURL": url,
    }
    return json.dumps({"alerts": [alert], "groupLabels": labels, "commonAnnotations": annotations or {}}).encode()


def decoded(body: bytes) -> tuple[Group, Alert]:
    group = decode(body, NOW).group
    [alert] = group.alerts
    return group, alert


def test_what_is_within_the_bounds_is_unchanged() -> None:
    labels = {"alertname": "a" * MAX_LABEL} | {f"l{number}": "x" for number in range(MAX_PAIRS - 1)}
    body = body_of(labels, {"summary": "é" * MAX_ANNOTATION}, "http://p/" + "x" * 60_000)

    assert decode(body, NOW).group == decode_webhook(body)


@pytest.mark.parametrize("excess", [1, 100, 1_000_000])
def test_a_longer_value_is_cut_and_says_how_long_it_was(excess: int) -> None:
    group, alert = decoded(body_of({"a": "x" * (MAX_LABEL + excess)}, {"s": "x" * (MAX_ANNOTATION + excess)}))

    assert len(alert.labels["a"]) == MAX_LABEL
    assert alert.labels["a"].endswith(f"x… [{MAX_LABEL + excess} characters]")
    assert alert.annotations["s"].endswith(f"x… [{MAX_ANNOTATION + excess} characters]")
    assert len(alert.annotations["s"]) == MAX_ANNOTATION
    assert group.group_labels == alert.labels
    assert group.common_annotations == alert.annotations


def test_of_more_pairs_the_first_are_kept_and_the_others_counted() -> None:
    many = {f"l{number}": "x" for number in range(5_000)}
    _, alert = decoded(body_of(many, many))

    assert alert.labels == dict(list(many.items())[:MAX_PAIRS]) | {"…": "4000 more"}
    assert alert.annotations == alert.labels


def test_a_name_is_cut_and_a_longer_link_is_omitted() -> None:
    _, alert = decoded(body_of({"n" * 10_000: "x"}, url="http://p/" + "x" * MAX_ANNOTATION))

    assert [len(name) for name in alert.labels] == [MAX_LABEL]
    assert alert.generator_url == ""


def test_hashes_are_those_of_what_was_received() -> None:
    body = body_of({"a": "x" * 10_000})

    assert decode(body, NOW).hashes == hashes_of(decode_webhook(body))
