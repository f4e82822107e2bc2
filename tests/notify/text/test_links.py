"""The links of messages."""

import json
import re
from typing import Any
from urllib.parse import parse_qs, quote

import msgspec
import pytest

from relay.domain.alerts import Alert, Group
from relay.domain.channel_types import PagerDutyChannel, SmsChannel, WebhookChannel
from relay.domain.grafana import GrafanaFields
from relay.notify.text.links import alert_links, group_links
from tests.notify.channel_types import ALL, ChannelType, each_type
from tests.notify.factories import ALERTMANAGER, SOURCE, alert, notification
from tests.notify.message_texts import message_text

GRAFANA = GrafanaFields(
    dashboard_url="https://grafana.example.com/d/abc",
    panel_url="https://grafana.example.com/d/abc?viewPanel=2",
    silence_url="https://grafana.example.com/alerting/silence/new",
    values={"A": "2473545728", "minute": "9"},
)
WITH_LINKS = tuple(one for one in ALL if one not in (SmsChannel, WebhookChannel))


def grafana_alert(status: str = "firing") -> Alert:
    return msgspec.structs.replace(alert(status=status), grafana=GRAFANA)


def group(labels: dict[str, str], external_url: str = ALERTMANAGER, receiver: str = r"web\.hook") -> Group:
    return msgspec.structs.replace(
        notification(external_url=external_url).group, group_labels=labels, receiver=receiver
    )


def query_of(url: str) -> dict[str, list[str]]:
    return parse_qs(url.partition("#/alerts?")[2], keep_blank_values=True, strict_parsing=True)


@each_type
def test_an_alert_of_grafana_has_its_links_and_values(channel_type: ChannelType) -> None:
    text = message_text(channel_type, notification(grafana_alert(), external_url="https://grafana.example.com/"))
    plain = text.replace("\\", "").replace("&amp;", "&")
    if channel_type in WITH_LINKS:
        for url in (GRAFANA.dashboard_url, GRAFANA.panel_url, GRAFANA.silence_url):
            assert re.search(re.escape(url) + r"(?![\w?/])", plain)
    if channel_type is not SmsChannel:
        assert "2473545728" in text
        assert "minute" in text
    assert "Alertmanager" not in text
    assert "#/alerts" not in text


@pytest.mark.parametrize("channel_type", [one for one in WITH_LINKS if one is not PagerDutyChannel])
def test_the_values_are_one_line(channel_type: ChannelType) -> None:
    text = message_text(channel_type, notification(grafana_alert()))
    assert "Values: A=2473545728, minute=9" in text


@pytest.mark.parametrize("channel_type", WITH_LINKS)
def test_a_resolved_alert_has_no_link_to_silence_it(channel_type: ChannelType) -> None:
    text = message_text(channel_type, notification(grafana_alert("resolved")))
    assert GRAFANA.dashboard_url in text.replace("\\", "")
    assert "silence/new" not in text


@pytest.mark.parametrize(
    "labels",
    [
        {"alertname": "DiskFull", "cluster": "eu-1"},
        {"alertname": 'a"b\\c', "path": "C:\\new\nline\t"},
        {"alertname": "服务异常告警", "Σ": "🙂", "service.name": "a b", "0x": "%41&b=c#d+e"},
        {"empty": ""},
    ],
)
def test_the_link_to_alertmanager_has_the_filter_of_the_group(labels: dict[str, str]) -> None:
    [(text, url)] = group_links(group(labels))
    assert (text, url.startswith(f"{ALERTMANAGER}/#/alerts?")) == ("Alertmanager", True)
    assert url.isascii()
    query = query_of(url)
    assert query["receiver"] == [r"web\.hook"]
    # As Alertmanager's page parses it: names without quotes, and values as JSON.
    matchers = re.findall(r'([^{}!=~,\\"\'`\s]+)=("(?:[^"\\]|\\.)*")', query["filter"][0])
    assert {name: json.loads(value) for name, value in matchers} == labels
    assert query["filter"][0] == "{" + ", ".join(f"{name}={value}" for name, value in matchers) + "}"


@pytest.mark.parametrize(
    ("labels", "filters"),
    [
        ({}, None),
        ({"a b": "x"}, None),
        ({"a b": "x", "c=d": "x", 'e"': "x", "f,": "x", "ok": "x"}, '{ok="x"}'),
        ({"long": "x" * 600}, None),
        ({"long": "ä" * 100}, None),
    ],
)
def test_labels_that_the_page_cannot_parse_or_that_are_too_long_are_left_out(labels: Any, filters: Any) -> None:
    [(_, url)] = group_links(group(labels))
    assert query_of(url) == {"receiver": [r"web\.hook"]} | ({"filter": [filters]} if filters else {})


@pytest.mark.parametrize("receiver", ["a+b", r"team \(x\)/on-call", "ä&b=c"])
def test_the_receiver_is_kept_as_alertmanager_sent_it(receiver: str) -> None:
    [(_, url)] = group_links(group({}, receiver=receiver))
    assert query_of(url)["receiver"] == [receiver]


@pytest.mark.parametrize("url", ["", "/alerts", "http://:9093", "ftp://x", "http://[bad"])
def test_an_alertmanager_without_a_usable_url_is_not_linked_to(url: str) -> None:
    assert group_links(group({"a": "b"}, external_url=url)) == ()


@pytest.mark.parametrize(
    "url", ["https://mimir.example.com/alertmanager", "https://mimir.example.com/alertmanager/"]
)
def test_the_path_of_alertmanager_is_kept(url: str) -> None:
    [(_, link)] = group_links(group({"a": "b"}, external_url=url))
    assert link.startswith("https://mimir.example.com/alertmanager/#/alerts?filter=%7Ba%3D%22b%22%7D&receiver=")


@pytest.mark.parametrize("name", ["runbook_url", "Runbook_URL", "runbook.url", "runbook", "documentation"])
def test_a_runbook_may_have_another_name(name: str) -> None:
    links = dict(alert_links(alert(annotations={name: "https://runbooks.example.com/x"})))
    assert links["Runbook"] == "https://runbooks.example.com/x"


def test_the_first_runbook_that_is_a_url_is_linked_to() -> None:
    annotations = {"documentation": "https://docs.example.com", "runbook": "https://x/", "runbook_url": "see wiki"}
    assert dict(alert_links(alert(annotations=annotations)))["Runbook"] == "https://x/"


def test_a_text_message_about_an_alert_of_grafana_links_to_its_rule() -> None:
    text = message_text(SmsChannel, notification(grafana_alert(), external_url="https://grafana.example.com"))
    assert text.endswith(SOURCE)


def test_a_text_message_has_the_longest_link_that_fits() -> None:
    for size, shown in ((10, "filter="), (200, "alerts?receiver=")):
        message = msgspec.structs.replace(notification(), group=group({"cluster": "x" * size}))
        assert shown in message_text(SmsChannel, message)


def test_a_long_filter_leaves_room_for_the_alert() -> None:
    labels = {f"label_{at}": quote("ä" * 10) for at in range(40)}
    for channel_type in WITH_LINKS:
        text = message_text(channel_type, msgspec.structs.replace(notification(), group=group(labels)))
        assert "DiskFull is firing" in text
        assert "receiver=web" in text
