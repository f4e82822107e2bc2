"""The built-in channel templates create valid channels."""

from typing import Any

import pytest

from relay.domain.channel_types import SlackChannel, channel_types
from relay.domain.templates import built_in as module
from relay.domain.templates.built_in import BUILT_IN, IDS, built_in_templates
from relay.domain.templates.channel_templates import ChannelTemplate, Parameter, instantiate
from relay.notify.platforms.slack import SlackNotifier

SAMPLES: dict[str, Any] = {
    "matcher": 'team="db"',
    "name": "Ours",
    "smtp_port": 587,
    "smtp_security": "starttls",
    "smtp_host": "mail.example.com",
    "email_from": "relay@example.com",
    "email_to": "ops@example.com",
    "account_sid": "AC" + "0" * 32,
    "messaging_service_sid": "MG" + "0" * 32,
    "sms_from": "+15005550006",
    "sms_to": "+4366012345678",
    "chat_id": "-1001234567890",
    "bot_token": "123456789:" + "A" * 35,
    "routing_key": "0" * 32,
}
ONE_OF_TWO = {"messaging_service_sid"}
"""Excluded by its alternative, which is given."""


def sample(parameter: Parameter) -> Any:
    default = "https://hooks.example.com/x" if parameter.secret else parameter.name
    value = SAMPLES.get(parameter.name, default)
    return [value] if parameter.type == "list" else value


def needed(template: ChannelTemplate) -> dict[str, Any]:
    parameters = [
        parameter for parameter in template.parameters if parameter.required or parameter.name == "sms_from"
    ]
    return {parameter.name: sample(parameter) for parameter in parameters}


def test_templates_of_supported_types_are_listed_in_order() -> None:
    assert list(built_in_templates()) == sorted(built_in_templates())
    assert set(built_in_templates()) <= IDS
    assert len(IDS) == len(BUILT_IN)
    listed = {body["channel_type"] for template in built_in_templates().values() for body in template.channels}
    assert listed <= set(channel_types())
    for data in BUILT_IN:
        supported = {body["channel_type"] for body in data["channels"]} <= set(channel_types())
        assert (data["id"] in built_in_templates()) == supported


def test_a_template_of_an_unsupported_type_is_not_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "channel_types", lambda: ["slack"])
    try:
        built_in_templates.cache_clear()
        assert set(built_in_templates()) == {
            "critical-to-slack",
            "everything-to-slack-by-bot",
            "slack-by-severity",
            "team-to-slack",
        }
    finally:
        monkeypatch.undo()
        built_in_templates.cache_clear()


@pytest.mark.parametrize("template", built_in_templates().values(), ids=lambda template: template.id)
def test_each_creates_its_channels_from_required_and_from_all_parameters(template: ChannelTemplate) -> None:
    all_given = {
        parameter.name: sample(parameter) for parameter in template.parameters if parameter.name not in ONE_OF_TWO
    }
    for given in (needed(template), all_given):
        created = [creation.channel for creation in instantiate(template, given)]
        assert [creation.channel_type for creation in created] == [
            body["channel_type"] for body in template.channels
        ]


@pytest.mark.parametrize("template", built_in_templates().values(), ids=lambda template: template.id)
def test_each_template_and_parameter_has_a_description(template: ChannelTemplate) -> None:
    assert template.builtin
    assert template.description.endswith(".")
    for parameter in template.parameters:
        assert parameter.description.endswith(".")
        assert parameter.type is not None


def test_a_fallback_does_not_get_the_same_alerts_itself() -> None:
    by_severity = built_in_templates()["slack-by-severity"]
    other, critical = [creation.channel for creation in instantiate(by_severity, needed(by_severity))]

    assert (critical.severities, critical.fallback_channel_id) == (("critical",), other.id)
    assert other.matchers == ('severity!="critical"',)


def test_a_slack_bot_edits_its_messages() -> None:
    by_bot = built_in_templates()["everything-to-slack-by-bot"]
    [created] = [
        creation.channel for creation in instantiate(by_bot, needed(by_bot) | {"bot_token": "xoxb-1234567890"})
    ]
    assert isinstance(created, SlackChannel)
    assert SlackNotifier().edit_destination(created) is not None
    assert "resolved" in created.notify_on
