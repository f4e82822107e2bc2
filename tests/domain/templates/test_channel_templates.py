"""Channels created from a channel template, and errors that name the caller's fields."""

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
        {"name": "url", "description": "The URL to post to."},
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


def created(data: dict[str, Any], **given: Any) -> list[Any]:
    return [creation.channel for creation in instantiate(template(data), given)]


def rejection(data: dict[str, Any], **given: Any) -> InvalidInput:
    with pytest.raises(InvalidInput) as caught:
        instantiate(template(data), given)
    return caught.value


def test_parameters_replace_their_placeholders() -> None:
    [channel] = created(
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


def test_an_absent_parameter_has_its_default_or_is_omitted() -> None:
    [channel] = created(OPS, url=URL, tenant=None)

    assert channel.severities == ("critical", "warning")
    assert (channel.tenant_id, channel.send_resolved, channel.custom_headers) == (None, True, {})
    assert channel.matchers == ('team="db"',)


def test_a_value_that_looks_like_a_placeholder_is_not_substituted() -> None:
    text = '{"$": "token"} {{ 7*7 }} ${url} %(url)s "; \\'
    [channel] = created(OPS, url=URL, tenant=text, token=text)

    assert (channel.tenant_id, channel.custom_headers) == (text, {"Authorization": text})
    error = rejection(OPS, url={"$": "token"}, token="s3cret")
    assert (error.field, error.message) == ("url", "must be a string")


def test_given_fields_override_those_of_the_template() -> None:
    [channel] = created(OPS, url=URL, name="Night", id="n-1", severities=["info"], enabled=False, matchers=None)

    assert (channel.id, channel.name, channel.enabled) == ("n-1", "Night", False)
    assert (channel.severities, channel.matchers) == (("info",), ())


def test_a_fallback_refers_to_an_earlier_channel_by_index() -> None:
    first, second = created(PAIR, url=URL)
    assert isinstance(first, SlackChannel)
    assert (first.id, second.id, second.fallback_channel_id) == ("the-rest", "critical", "the-rest")

    first, second = created(PAIR, url=URL, first="Day & Night")
    assert (first.id, second.fallback_channel_id) == ("day-night", "day-night")


def test_given_fields_apply_to_all_channels_that_have_them() -> None:
    first, second = created(PAIR, url=URL, tenant_id="acme", slack_channel="#a")

    assert (first.tenant_id, second.tenant_id, first.slack_channel) == ("acme", "acme", "#a")


@pytest.mark.parametrize(
    ("given", "field", "fragment"),
    [
        ({}, "url", "is missing: The URL to post to"),
        ({"url": None}, "url", "is missing"),
        ({"url": 5}, "url", "must be a string"),
        ({"url": URL, "resolved": "no"}, "resolved", "must be true or false"),
        ({"url": URL, "rate": True}, "rate", "must be a number"),
        ({"url": URL, "rate": "1"}, "rate", "must be a number"),
        ({"url": URL, "rate": 0}, "rate", "one per hour"),
        ({"url": URL, "levels": "critical"}, "levels", "must be a list of strings"),
        ({"url": URL, "levels": ["critical", 5]}, "levels[1]", "must be a string"),
        ({"url": URL, "levels": ["critical", ""]}, "levels[1]", "must not be empty"),
        ({"url": URL, "matcher": "team"}, "matcher", "is not a matcher"),
        ({"url": URL, "tenant": ""}, "tenant", "must not be empty"),
        ({"url": URL, "tenant": "a\0"}, "tenant", "U+0000"),
        ({"url": "********"}, "url", "is the mask"),
        ({"url": URL, "token": "********"}, "token", "is the mask"),
        ({"url": URL, "color": "red"}, "color", "neither a parameter"),
        ({"url": URL, "slack_channel": "#a"}, "slack_channel", "neither a parameter"),
        ({"url": URL, "channel_type": "slack"}, "channel_type", "is set by the template"),
        ({"url": URL, "severities": [1]}, "severities[0]", "`str`"),
        ({"url": URL, "name": ""}, "name", "must not be empty"),
        ({"url": URL, "id": "A B"}, "id", "a-z"),
        ({"url": URL, "name": None}, "name", "is missing"),
        ({"url": URL, "custom_headers": {"X": 5}}, "custom_headers[...]", "`str`"),
    ],
)
def test_an_error_names_the_field_that_was_given(given: dict[str, Any], field: str, fragment: str) -> None:
    error = rejection(OPS, **given)

    assert error.field == field
    assert fragment in error.message


def test_an_error_names_the_channel_when_there_are_several() -> None:
    for name in ("name", "id"):
        assert "creates 2 channels" in rejection(PAIR, url=URL, **{name: "x"}).message
    assert (
        str(rejection(PAIR, url=URL, first="CRITICAL"))
        == "channels[1].name: creates a second channel with the id 'critical'"
    )
    error = rejection(PAIR, url=URL, first="!")
    assert (error.field, error.message) == ("channels[0].id", "can't be derived from this name; provide an id")


def test_an_error_names_the_right_parameter_after_an_omitted_item() -> None:
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
    assert rejection(data, url=URL, two="x").field == "two"
    assert created(data, url=URL)[0].matchers == ()
