"""Labels and annotations that an alert lacks, in templates of messages and of whole bodies."""

import json
from typing import Any

import pytest
from aiohttp import web

from relay.domain.channel_types import SlackChannel, WebhookChannel
from relay.domain.outcomes import Sent
from relay.notify.templates.sandbox import render_body, render_parts
from relay.notify.text.markup import SLACK
from relay.notify.text.payload import payload_of
from tests.fixtures.sink import Sink
from tests.notify.factories import alert, digest, notification
from tests.notify.sending import send
from tests.notify.template_samples import request_texts, with_template

TEMPLATES = [
    ("[{{ alert.labels.team }}{{ alert.annotations.owner }}{{ common_labels.zone }}]", "[]"),
    ("{{ alert.labels.team | default('nobody') }}", "nobody"),
    ("{{ alert.labels['team'] | d('nobody') }}", "nobody"),
    ("{{ alert.annotations.owner | default('nobody') | upper }}", "NOBODY"),
    ("{{ group_labels.team | default('nobody') }}", "nobody"),
    ("{{ alert.labels.alertname | default('nobody') }}", "DiskFull"),
    ("{{ alert.labels.empty | default('nobody') }}.", "."),
    ("{{ alert.labels.empty | default('nobody', true) }}", "nobody"),
    ("{{ alert.labels.team | default(alert.labels.alertname) }}", "DiskFull"),
    ("{{ alert.labels.team is defined }} {{ alert.labels.team is undefined }}", "False True"),
    ("{{ alert.labels.empty is defined }} {{ alert.labels.empty is undefined }}", "True False"),
    ("{{ nothing | default('nobody') }} {{ nothing is defined }}", "nobody False"),
    ("{{ alert.labels.team == '' }} {{ alert.labels.team ~ 'x' }} {{ alert.labels.team | length }}", "True x 0"),
    ("{% if alert.labels.team %}a{% else %}b{% endif %}", "b"),
    ("{{ 'team' in alert.labels }} {{ alert.labels.get('team', 'nobody') }}", "False nobody"),
]


def data() -> Any:
    one = alert(annotations={"summary": "x"})
    one.labels["empty"] = ""
    return json.loads(payload_of(notification(one)))


@pytest.mark.parametrize(("template", "text"), TEMPLATES)
def test_an_absent_label_is_empty_and_undefined_for_default(template: str, text: str) -> None:
    assert render_parts({"alert": template}, SLACK, data()).alerts == (text,)
    assert render_body("{% set alert = alerts[0] %}" + template, data()) == text


def test_an_absent_label_is_an_empty_string_in_json() -> None:
    template = '{"team": {{ alerts[0].labels.team | tojson }}, "owner": "{{ alerts[0].annotations.owner }}"}'
    assert json.loads(render_body(template, data())) == {"team": "", "owner": ""}


async def test_a_receiver_of_its_own_format_gets_an_alert_without_the_label(sink: Sink) -> None:
    sink.script = lambda _: web.Response(status=200 if b'"team"' in sink.received[-1].body[:8] else 422)
    template = '{"team": "{{ common_labels.team }}", "text": {{ alerts[0].annotations.nothing | tojson }}}'
    outcome = await send(WebhookChannel, sink.url, notification(), custom_payload_template=template)
    assert isinstance(outcome, Sent)
    assert [request.json for request in sink.received] == [{"team": "", "text": ""}]


def test_a_digest_has_empty_labels_as_well() -> None:
    whole = json.loads(payload_of(digest()))
    assert render_body("[{{ common_labels.team }}{{ group_labels.x | default('-') }}]", whole) == "[-]"


def test_the_authors_markup_holds_around_an_annotation_that_ends_in_a_newline() -> None:
    message = notification(alert(annotations={"summary": "  Full\n", "description": "a \n\n b\n"}))
    template = "*{{ alert.annotations.summary }}* {{ alert.annotations.description | bold }}"
    [text] = request_texts(SlackChannel, with_template(SlackChannel, message, alert=template))
    assert "*Full* *a* \n\n *b*" in text
