"""Whether each notification fits each platform, and every alert of it is shown or counted."""

import re
from functools import cache

import msgspec
import pytest

from relay.domain.alerts import Alert
from relay.domain.channel_types import BaseChannel, SmsChannel, WebhookChannel
from tests.notify.factories import ALERTMANAGER, HISTORY, RUNBOOK, SOURCE, alert, notification
from tests.notify.message_texts import COUNTED, TEXTS, accounted_for, said
from tests.notify.strict.readers import IN_WORDS


def labelled(name: str, labels: dict[str, str]) -> Alert:
    return msgspec.structs.replace(alert(name), labels=labels | {"alertname": name})


@pytest.mark.parametrize("count", [1, 2, 3, 5, 12, 47, 48, 49, 50, 51, 500])
@pytest.mark.parametrize("size", [0, 10, 2048])
def test_every_alert_is_shown_or_counted(kind: type[BaseChannel], count: int, size: int) -> None:
    alerts = [alert(instance=f"db{n}", annotations={"description": "x" * size}) for n in range(count)]
    text = said(kind, notification(*alerts, truncated=3))
    assert accounted_for(kind, text) == count
    if kind is not WebhookChannel:
        assert re.search(r"3 more (?:alerts were )?left out by Alertmanager", text)


@cache  # the fingerprint of so much text takes a while
def made_of(text: str) -> list[Alert]:
    annotations = {"summary": text, "description": f"{text}.", "runbook_url": f"http://x/?{text}"}
    return [
        alert(text, severity=text, annotations=annotations, url=f"http://x/?{text}", instance=text, at=f"{n}")
        for n in range(100)
    ]


@pytest.mark.parametrize("count", [1, 3, 100])
@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
def test_odd_text_fits_wherever_it_stands(kind: type[BaseChannel], text: str, count: int) -> None:
    alerts = made_of(text)[:count]
    message = said(kind, notification(*alerts, truncated=2**31 - 1, external_url=f"http://x/{text}"))
    assert kind not in IN_WORDS or f"{count}" in message
    if kind is not WebhookChannel and text not in (TEXTS["lines"], TEXTS["spaces"]):
        assert accounted_for(kind, message) == count


@pytest.mark.parametrize("length", [700, 780, 799, 800, 1400, 1490, 1500, 5000, 20_000])
@pytest.mark.parametrize("character", ["a", "&", "(", "é"])
def test_long_urls_fit_or_are_left_out(kind: type[BaseChannel], length: int, character: str) -> None:
    url = "http://x.example/?" + character * (length - 18)
    annotations = {"runbook_url": url, "description": "&" * 3000, "summary": "&" * 300}
    alerts = [alert(annotations=annotations, url=url, instance="&" * 700, at=f"{n}") for n in range(40)]
    assert accounted_for(kind, said(kind, notification(*alerts, external_url=url))) == len(alerts)


def test_labels_without_end_fit(kind: type[BaseChannel]) -> None:
    many = {f"label_{n}": "é" * 50 for n in range(300)}
    told = notification(labelled("DiskFull", many), labelled("Other", many | {"huge": "🔥" * 10_000}))
    assert accounted_for(kind, said(kind, told)) == 2


@pytest.mark.parametrize(
    "url",
    ["javascript:alert(1)", " javascript:alert(1)", "data:text/html,x", "file:///etc/passwd", "//x", "http://"],
)
def test_only_web_pages_are_linked(kind: type[BaseChannel], url: str) -> None:
    told = notification(alert(url=url, annotations={"runbook_url": url}), external_url=url)
    text = said(kind, told)
    assert kind is WebhookChannel or not any(word in text for word in ("Source", "Runbook", "Alertmanager"))


def test_alerts_that_are_only_counted_can_be_read_in_the_history(kind: type[BaseChannel]) -> None:
    alerts = [alert(f"Alert{n}", annotations={"description": "x" * 2048}) for n in range(500)]
    text = said(kind, notification(*alerts, history_url=HISTORY))
    if kind is SmsChannel or COUNTED.search(text):
        assert HISTORY in text
    assert accounted_for(kind, text) == 500


def test_an_alert_with_nothing_to_say_is_told(kind: type[BaseChannel]) -> None:
    text = said(kind, notification(alert("", severity="", annotations={}, url=""), external_url=""))
    assert accounted_for(kind, text) == 1


def test_an_alert_without_a_summary_goes_by_its_name(kind: type[BaseChannel]) -> None:
    assert "DiskFull" in said(kind, notification(alert(annotations={})))


def test_the_links_of_an_alert_are_there(kind: type[BaseChannel]) -> None:
    text = said(kind, notification(alert(annotations={"runbook_url": RUNBOOK})))
    for url in (SOURCE, RUNBOOK, ALERTMANAGER) if kind is not SmsChannel else (ALERTMANAGER,):
        assert url in text


def test_the_alertmanager_that_people_reach_by_a_bare_name_is_linked(kind: type[BaseChannel]) -> None:
    assert "http://alertmanager:9093" in said(kind, notification(external_url="http://alertmanager:9093/"))
