"""The generic webhook: headers, template of the body, and the built-in body when the template fails."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from relay.domain.alertmanager import decode_webhook
from relay.domain.channel_types import WebhookChannel
from relay.domain.errors import InvalidInput
from relay.domain.outcomes import Sent
from relay.notify.registry import check_channel
from relay.notify.transport.egress_policy import EgressPolicy
from tests.fixtures.relays import SAMPLES
from tests.fixtures.sampling import sampled
from tests.fixtures.sink import Sink
from tests.notify.factories import alert, channel, count, digest, notification
from tests.notify.sending import send

FAILING = [
    "{{ ''.__class__ }}",
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "{{ alerts.append(1) }}",
    "{{ '{0.__class__}'.format(1) }}",
    "{{ cycler.__init__.__globals__ }}",
    "{{ nothing }}",
    "{{ alerts[0].labels.nothing.more }}",
    "{{ alerts[9].status }}",
    "{{ 1 / 0 }}",
    "{{ 1 + 'a' }}",
    "{{ 5 | dictsort }}",
    "{{ 5 | wordwrap }}",
    "{% include 'other' %}",
    "{{ 9 ** 9 ** 9 }}",
    "{{ 'x' * 1000000000 }}",
    "{{ 'x' * 1100000 }}",
    "{% for _ in range(99999) %}{{ 'x' * 100 }}{% endfor %}",
    "{% for _ in range(999999) %}{% endfor %}",
    "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
]


def rejection(field: str, **settings: Any) -> str:
    with pytest.raises(InvalidInput) as caught:
        check_channel(channel(WebhookChannel, **settings), EgressPolicy(()))
    assert caught.value.field == field
    return caught.value.message


async def test_the_built_in_body_contains_everything(sink: Sink) -> None:
    await send(WebhookChannel, sink.url, notification(alert(), alert(status="resolved"), truncated=2))
    body = sink.received[0].json
    assert (body["id"], body["status"], body["severity"], body["truncated_alerts"]) == (
        "42",
        "firing",
        "critical",
        2,
    )
    assert [alert["status"] for alert in body["alerts"]] == ["firing", "resolved"]
    assert body["alerts"][1]["starts_at"] == "2026-11-23T15:33:27Z"
    assert sink.received[0].headers["Content-Type"] == "application/json"


@pytest.mark.parametrize("sample", sorted(SAMPLES.glob("alertmanager-0.25-*.json")), ids=lambda path: path.stem)
async def test_the_body_of_alertmanager_is_what_alertmanager_sent(sample: Path, sink: Sink) -> None:
    sent = json.loads(sample.read_bytes())
    group = decode_webhook(sample.read_bytes())
    message = msgspec.structs.replace(notification(*group.alerts), group=group)

    await send(WebhookChannel, sink.url, message, webhook_body="alertmanager")

    def comparable(body: dict[str, Any]) -> dict[str, Any]:
        """The body with times as moments, to the microsecond, which is what the relay stores."""
        alerts = [
            alert | {name: moment(alert[name]) for name in ("startsAt", "endsAt")} for alert in body["alerts"]
        ]
        return body | {"alerts": alerts}

    assert comparable(sink.received[0].json) == comparable(sent)
    assert decode_webhook(sink.received[0].body) == group


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


async def test_a_digest_in_the_body_of_alertmanager_is_one_group(sink: Sink) -> None:
    await send(WebhookChannel, sink.url, digest(count("DiskFull", firing=3)), webhook_body="alertmanager")
    body = sink.received[0].json
    assert (body["version"], body["groupKey"], body["receiver"]) == ("4", "alert-relay-digest:42", "c")
    assert (body["status"], len(body["alerts"]), body["truncatedAlerts"]) == ("firing", 1, 2)
    assert body["commonLabels"] == {"alertname": "DiskFull", "severity": "critical"}


def test_the_body_of_alertmanager_and_a_template_exclude_each_other() -> None:
    settings = {"webhook_body": "alertmanager", "custom_payload_template": "{}"}
    assert "custom_payload_template" in rejection("webhook_body", **settings)


async def test_a_template_renders_the_body(sink: Sink) -> None:
    template = '{"n": {{ alerts | length }}, "first": {{ alerts[0].labels | tojson }}, "line": "{{ "-" * 40 }}"}'
    outcome = await send(WebhookChannel, sink.url, custom_payload_template=template)
    first = {"alertname": "DiskFull", "severity": "critical"}
    assert sink.received[0].json == {"n": 1, "first": first, "line": "-" * 40}
    assert outcome == Sent(200, "ok")


@pytest.mark.parametrize("template", sampled(FAILING, keep=5))
async def test_a_failing_template_is_replaced_by_the_built_in_body_and_reported(template: str, sink: Sink) -> None:
    check_channel(channel(WebhookChannel, custom_payload_template=template), EgressPolicy(()))
    outcome = await send(WebhookChannel, sink.url, custom_payload_template=template)
    assert isinstance(outcome, Sent)
    assert outcome.detail
    assert outcome.detail.startswith("custom_payload_template failed, the built-in body was sent: ")
    assert outcome.detail.endswith("; ok")
    assert sink.received[0].json["alerts"][0]["alertname"] == "DiskFull"


@pytest.mark.parametrize(
    "template",
    ["{{", "{% if %}", "{% for x in y %}", "{{ x | no_such_filter }}", "{% no_such_tag %}", "line\n{{ }}"],
)
def test_a_template_with_a_syntax_error_is_rejected_with_its_line(template: str) -> None:
    line = template.count("\n") + 1
    assert rejection("custom_payload_template", custom_payload_template=template).startswith(f"line {line}: ")


def test_an_oversized_template_is_rejected() -> None:
    assert "65536" in rejection("custom_payload_template", custom_payload_template="x" * 70_000)
    nested = "{{ " + "(" * 20_000 + "1" + ")" * 20_000 + " }}"
    assert rejection("custom_payload_template", custom_payload_template=nested) == "is nested too deeply"


async def test_headers_are_sent_and_may_set_the_content_type(sink: Sink) -> None:
    headers = {"content-type": "text/plain; charset=utf-8", "X-Team": "db", "User-Agent": "ours"}
    await send(WebhookChannel, sink.url, custom_headers=headers, custom_payload_template="Übel: {{ status }}")
    received = sink.received[0]
    assert (received.headers["Content-Type"], received.headers["X-Team"]) == ("text/plain; charset=utf-8", "db")
    assert received.headers["User-Agent"] == "ours"
    assert received.body.decode() == "Übel: firing"


@pytest.mark.parametrize("name", ["", "a b", "a:", "a\r\nb", "ü", "(x)", "a\x01"])
def test_malformed_header_names_are_rejected(name: str) -> None:
    assert "is not a header name" in rejection("custom_headers", custom_headers={name: "x"})


@pytest.mark.parametrize("value", ["a\r\nX-Other: b", "a\nb", "\x7f", "\x01", "Ω", "x" * 9000])
def test_an_invalid_header_value_is_rejected_and_not_shown(value: str) -> None:
    message = rejection("custom_headers.X-Key", custom_headers={"X-Key": value})
    assert value not in message


@pytest.mark.parametrize("name", ["Host", "content-length", "Transfer-Encoding", "CONNECTION", "Upgrade", "TE"])
def test_headers_that_frame_the_request_are_rejected(name: str) -> None:
    assert rejection(f"custom_headers.{name}", custom_headers={name: "x"}) == "is set by the relay itself"


def test_too_many_headers_are_rejected() -> None:
    rejection("custom_headers", custom_headers={f"X-{n}": "x" for n in range(51)})


def test_a_user_in_the_url_and_an_authorization_header_exclude_each_other() -> None:
    settings = {"url": "https://u:hidden@example.com/", "custom_headers": {"authorization": "Bearer x"}}
    assert "hidden" not in rejection("custom_headers", **settings)


async def test_a_large_group_is_sent_whole(sink: Sink) -> None:
    alerts = [alert(instance=f"db{n}", annotations={"description": "x" * 4096}) for n in range(500)]
    assert isinstance(await send(WebhookChannel, sink.url, notification(*alerts)), Sent)
    assert len(json.loads(sink.received[0].body)["alerts"]) == 500
