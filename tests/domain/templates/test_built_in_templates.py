"""Do the channel templates that come with the relay make channels, of the types that this release has?"""

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
"""With its counterpart, which is given, it would say twice who sends."""


def sample(parameter: Parameter) -> Any:
    default = "https://hooks.example.com/x" if parameter.secret else parameter.name
    value = SAMPLES.get(parameter.name, default)
    return [value] if parameter.type == "list" else value


def needed(template: ChannelTemplate) -> dict[str, Any]:
    wanted = [one for one in template.parameters if one.required or one.name == "sms_from"]
    return {one.name: sample(one) for one in wanted}


def test_those_whose_types_are_there_are_listed_in_order() -> None:
    assert list(built_in_templates()) == sorted(built_in_templates())
    assert set(built_in_templates()) <= IDS
    assert len(IDS) == len(BUILT_IN)
    listed = {body["channel_type"] for one in built_in_templates().values() for body in one.channels}
    assert listed <= set(channel_types())
    for data in BUILT_IN:
        there = {body["channel_type"] for body in data["channels"]} <= set(channel_types())
        assert (data["id"] in built_in_templates()) == there


def test_one_whose_type_is_not_there_is_not_listed(monkeypatch: pytest.MonkeyPatch) -> None:
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
def test_each_makes_its_channels_of_what_it_must_be_given_and_of_all(template: ChannelTemplate) -> None:
    every = {one.name: sample(one) for one in template.parameters if one.name not in ONE_OF_TWO}
    for given in (needed(template), every):
        made = [one.channel for one in instantiate(template, given)]
        assert [one.channel_type for one in made] == [body["channel_type"] for body in template.channels]


@pytest.mark.parametrize("template", built_in_templates().values(), ids=lambda template: template.id)
def test_each_says_what_it_is_for_and_what_it_asks_for(template: ChannelTemplate) -> None:
    assert template.builtin
    assert template.description.endswith(".")
    for parameter in template.parameters:
        assert parameter.description.endswith(".")
        assert parameter.type is not None


def test_one_channel_is_another_ones_fallback_only_when_it_is_not_told_the_same_anyway() -> None:
    by_severity = built_in_templates()["slack-by-severity"]
    other, critical = [one.channel for one in instantiate(by_severity, needed(by_severity))]

    assert (critical.severities, critical.fallback_channel_id) == (("critical",), other.id)
    assert other.matchers == ('severity!="critical"',)


def test_a_bot_keeps_its_messages_on_slack_up_to_date() -> None:
    by_bot = built_in_templates()["everything-to-slack-by-bot"]
    [made] = [one.channel for one in instantiate(by_bot, needed(by_bot) | {"bot_token": "xoxb-1234567890"})]
    assert isinstance(made, SlackChannel)
    assert SlackNotifier().edit_destination(made) is not None
    assert made.slack_reply_resolved
