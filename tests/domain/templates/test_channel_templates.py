"""Which channels come of a channel template, and how is it told what is wrong with what was given?"""

from typing import Any

import pytest

from relay.domain.channel_types import SlackChannel, WebhookChannel
from relay.domain.errors import InvalidInput
from relay.domain.templates.channel_templates import ChannelTemplate, instantiate, parse_channel_template
from relay.domain.templates.checks import validate_channel_template

URL = "https://hooks.example.com/x"
OPS: dict[str, Any] = {
    "name": "Ops",
    "parameters": [
        {"name": "url", "description": "Where to post."},
        {"name": "tenant", "required": False},
        {"name": "levels", "required": False, "default": ["critical", "warning"]},
        {"name": "matcher", "required": False},
        {"name": "resolved", "required": False},
        {"name": "rate", "required": False, "default": 2},
        {"name": "token", "required": False},
    ],
    "channels": [
        {
            "channel_type": "webhook",
            "name": "Ops",
            "webhook_url": {"$": "url"},
            "tenant_id": {"$": "tenant"},
            "severities": {"$": "levels"},
            "matchers": ['team="db"', {"$": "matcher"}],
            "send_resolved": {"$": "resolved"},
            "rate_limit": {"per_second": {"$": "rate"}, "burst": 3},
            "custom_headers": {"Authorization": {"$": "token"}},
        }
    ],
}
PAIR: dict[str, Any] = {
    "name": "Pair",
    "parameters": [
        {"name": "url"},
        {"name": "tenant", "required": False},
        {"name": "first", "required": False, "default": "The Rest"},
    ],
    "channels": [
        {
            "channel_type": "slack",
            "name": {"$": "first"},
            "webhook_url": {"$": "url"},
            "tenant_id": {"$": "tenant"},
        },
        {
            "channel_type": "webhook",
            "name": "Critical",
            "webhook_url": {"$": "url"},
            "severities": ["critical"],
            "matchers": ['team="db"'],
            "fallback_channel_id": {"$channel": 0},
        },
    ],
}


def template(data: dict[str, Any]) -> ChannelTemplate:
    return validate_channel_template(parse_channel_template(data))


def made(data: dict[str, Any], **given: Any) -> list[Any]:
    return [one.channel for one in instantiate(template(data), given)]


def refusal(data: dict[str, Any], **given: Any) -> InvalidInput:
    with pytest.raises(InvalidInput) as caught:
        instantiate(template(data), given)
    return caught.value


def test_parameters_go_where_they_stand() -> None:
    [channel] = made(
        OPS,
        url=URL,
        tenant="acme",
        levels=["info"],
        matcher='env="prod"',
        resolved=False,
        rate=0.5,
        token="Bearer x",
    )

    assert isinstance(channel, WebhookChannel)
    assert (channel.id, channel.webhook_url, channel.tenant_id) == ("ops", URL, "acme")
    assert channel.severities == ("info",)
    assert channel.matchers == ('team="db"', 'env="prod"')
    assert (channel.send_resolved, channel.custom_headers) == (False, {"Authorization": "Bearer x"})
    assert channel.rate_limit is not None
    assert (channel.rate_limit.per_second, channel.rate_limit.burst) == (0.5, 3)


def test_what_is_not_given_has_its_default_or_is_left_out() -> None:
    [channel] = made(OPS, url=URL, tenant=None)

    assert channel.severities == ("critical", "warning")
    assert (channel.tenant_id, channel.send_resolved, channel.custom_headers) == (None, True, {})
    assert channel.matchers == ('team="db"',)


def test_what_is_given_stays_what_it_is_whatever_it_looks_like() -> None:
    text = '{"$": "token"} {{ 7*7 }} ${url} %(url)s "; \\'
    [channel] = made(OPS, url=URL, tenant=text, token=text)

    assert (channel.tenant_id, channel.custom_headers) == (text, {"Authorization": text})
    error = refusal(OPS, url={"$": "token"}, token="s3cret")
    assert (error.field, error.message) == ("url", "must be a string")


def test_fields_may_be_given_in_place_of_the_templates() -> None:
    [channel] = made(OPS, url=URL, name="Night", id="n-1", severities=["info"], enabled=False, matchers=None)

    assert (channel.id, channel.name, channel.enabled) == ("n-1", "Night", False)
    assert (channel.severities, channel.matchers) == (("info",), ())


def test_a_fallback_is_a_channel_made_before_whatever_it_is_called() -> None:
    first, second = made(PAIR, url=URL)
    assert isinstance(first, SlackChannel)
    assert (first.id, second.id, second.fallback_channel_id) == ("the-rest", "critical", "the-rest")

    first, second = made(PAIR, url=URL, first="Day & Night")
    assert (first.id, second.fallback_channel_id) == ("day-night", "day-night")


def test_fields_given_are_for_all_channels_that_have_them() -> None:
    first, second = made(PAIR, url=URL, tenant_id="acme", slack_channel="#a")

    assert (first.tenant_id, second.tenant_id, first.slack_channel) == ("acme", "acme", "#a")


@pytest.mark.parametrize(
    ("given", "field", "word"),
    [
        ({}, "url", "is missing: Where to post"),
        ({"url": None}, "url", "is missing"),
        ({"url": 5}, "url", "must be a string"),
        ({"url": URL, "resolved": "no"}, "resolved", "must be true or false"),
        ({"url": URL, "rate": True}, "rate", "must be a number"),
        ({"url": URL, "rate": "1"}, "rate", "must be a number"),
        ({"url": URL, "rate": 0}, "rate", "one an hour"),
        ({"url": URL, "levels": "critical"}, "levels", "must be a list of strings"),
        ({"url": URL, "levels": ["critical", 5]}, "levels[1]", "must be a string"),
        ({"url": URL, "levels": ["critical", ""]}, "levels[1]", "must not be empty"),
        ({"url": URL, "matcher": "team"}, "matcher", "is not a matcher"),
        ({"url": URL, "tenant": ""}, "tenant", "must not be empty"),
        ({"url": URL, "tenant": "a\0"}, "tenant", "U+0000"),
        ({"url": "********"}, "url", "is the mask"),
        ({"url": URL, "token": "********"}, "token", "is the mask"),
        ({"url": URL, "colour": "red"}, "colour", "neither a parameter"),
        ({"url": URL, "slack_channel": "#a"}, "slack_channel", "neither a parameter"),
        ({"url": URL, "channel_type": "slack"}, "channel_type", "the template's"),
        ({"url": URL, "severities": [1]}, "severities[0]", "`str`"),
        ({"url": URL, "name": ""}, "name", "must not be empty"),
        ({"url": URL, "id": "A B"}, "id", "a-z"),
        ({"url": URL, "name": None}, "name", "is missing"),
        ({"url": URL, "custom_headers": {"X": 5}}, "custom_headers[...]", "`str`"),
    ],
)
def test_a_refusal_names_what_was_given(given: dict[str, Any], field: str, word: str) -> None:
    error = refusal(OPS, **given)

    assert error.field == field
    assert word in error.message


def test_of_several_channels_a_refusal_says_which() -> None:
    for name in ("name", "id"):
        assert "makes 2 channels" in refusal(PAIR, url=URL, **{name: "x"}).message
    assert (
        str(refusal(PAIR, url=URL, first="CRITICAL"))
        == "channels[1].name: makes a second channel with the id 'critical'"
    )
    error = refusal(PAIR, url=URL, first="!")
    assert (error.field, error.message) == ("channels[0].id", "can't be made from this name; give one")


def test_an_item_left_out_does_not_shift_the_blame() -> None:
    data = {
        "name": "A",
        "parameters": [{"name": "url"}, {"name": "one", "required": False}, {"name": "two", "required": False}],
        "channels": [
            {
                "channel_type": "slack",
                "name": "A",
                "webhook_url": {"$": "url"},
                "matchers": [{"$": "one"}, {"$": "two"}],
            }
        ],
    }
    assert refusal(data, url=URL, two="x").field == "two"
    assert made(data, url=URL)[0].matchers == ()
