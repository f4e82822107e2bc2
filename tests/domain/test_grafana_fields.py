"""What Grafana adds to an alert."""

import json
from typing import Any

import pytest

from relay.domain.alertmanager import decode_webhook
from relay.domain.grafana import GrafanaFields

DASHBOARD, PANEL = (
    "https://grafana.example.com/d/abc?orgId=1",
    "https://grafana.example.com/d/abc?orgId=1&viewPanel=2",
)
SILENCE = "https://grafana.example.com/alerting/silence/new?alertmanager=grafana&matcher=alertname%3DA"


def fields(**sent: Any) -> GrafanaFields | None:
    alert = {"status": "firing", "labels": {"alertname": "A"}, "startsAt": "2026-11-23T15:33:27Z"}
    return decode_webhook(json.dumps({"alerts": [alert | sent]}).encode()).alerts[0].grafana


def values(**sent: Any) -> dict[str, str]:
    found = fields(**sent)
    assert found is not None
    return found.values


def test_an_alert_of_another_sender_has_none() -> None:
    assert fields() is None


def test_the_links_are_kept() -> None:
    found = fields(dashboardURL=DASHBOARD, panelURL=PANEL, silenceURL=SILENCE, values=None)
    assert found == GrafanaFields(dashboard_url=DASHBOARD, panel_url=PANEL, silence_url=SILENCE)


@pytest.mark.parametrize("sent", ["", None, 7, ["x"], "https://x/" + "y" * 3000])
def test_a_link_that_is_none_is_empty(sent: Any) -> None:
    assert fields(dashboardURL=sent) == GrafanaFields()


@pytest.mark.parametrize(
    ("sent", "text"),
    [
        (2473545728, "2473545728"),
        (0, "0"),
        (22.857142857142858, "22.8571"),
        (-0.5, "-0.5"),
        (99.99999, "100"),
        (0.00001234, "1.234e-05"),
        (2.5e21, "2.5e+21"),
        (float("inf"), "Infinity"),
        (True, "true"),
        ("17", "17"),
    ],
)
def test_a_value_is_text(sent: Any, text: str) -> None:
    assert values(values={"A": sent}) == {"A": text}


@pytest.mark.parametrize("sent", [None, {}, {"A": None}, {"A": [1]}, 7])
def test_there_may_be_no_values(sent: Any) -> None:
    assert values(values=sent, valueString="") == {}


def test_older_releases_send_the_values_as_text() -> None:
    text = (
        "[ var='B0' metric='up{version=\"2.4\", job=\"a\"}' labels={__name__=up, job=a} value=1 ], "
        "[ var='C' labels={} value=2.473545728e+09 ]"
    )
    assert values(valueString=text) == {"B0": "1", "C": "2.473545728e+09"}
    assert values(values={"A": 7}, valueString=text) == {"A": "7"}


def test_values_are_bounded() -> None:
    many = values(values={f"{at}" + "n" * 500: "v" * 500 for at in range(100)})
    assert len(many) == 20
    assert {len(name) for name in many} == {60} == {len(value) for value in many.values()}
    assert values(valueString="[ var='B'" * 50_000) == {}


def test_types_that_deviate_elsewhere_keep_the_values() -> None:
    assert values(values={"A": 1.50, "B": 43434343434343434343}, fingerprint=7) == {
        "A": "1.5",
        "B": "43434343434343434343",
    }
