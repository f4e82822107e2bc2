"""Parsing of channels, and errors that name the field."""

from typing import Any

import pytest

from relay.domain.channel_types import Channel
from relay.domain.channels import parse_channel, slug
from relay.domain.errors import InvalidInput

GUIDE = {
    "id": "slack-critical",
    "name": "Critical Alerts",
    "channel_type": "slack",
    "webhook_url": "https://hooks.slack.com/services/YOUR/WEBHOOK/URL",
    "enabled": True,
    "severities": ["critical"],
    "slack_channel": "#alerts-critical",
}
OWN_FIELDS: dict[str, dict[str, Any]] = {
    "slack": {"slack_channel": "#a", "slack_username": "relay", "slack_icon_emoji": ":fire:"},
    "discord": {"discord_username": "relay", "discord_avatar_url": "https://example.com/a.png"},
    "teams": {"teams_title": "Alerts"},
    "webhook": {"custom_headers": {"X-Key": "k"}, "custom_payload_template": "{}"},
}
COMMON: dict[str, Any] = {
    "enabled": False,
    "tenant_id": "tenant-a",
    "severities": ["critical", "warning"],
    "alert_names": ["DiskFull"],
    "alert_categories": ["errors"],
    "matchers": ['team=~"db|infra"'],
    "send_resolved": False,
}


def rejection(data: Any) -> InvalidInput:
    with pytest.raises(InvalidInput) as caught:
        parse_channel(data)
    return caught.value


def minimal(**more: Any) -> Channel:
    return parse_channel({"name": "A", "channel_type": "teams", "webhook_url": "https://example.com/x"} | more)


def test_the_channel_of_the_guide_is_accepted() -> None:
    channel = parse_channel(GUIDE)
    assert {name: getattr(channel, name) for name in GUIDE} == GUIDE | {"severities": ("critical",)}


@pytest.mark.parametrize("channel_type", OWN_FIELDS)
def test_every_type_accepts_the_common_fields_and_its_own(channel_type: str) -> None:
    given: dict[str, Any] = {"name": "A", "channel_type": channel_type, "webhook_url": "https://example.com/x"}
    given |= COMMON | OWN_FIELDS[channel_type]
    channel = parse_channel(given)
    for name, value in given.items():
        assert getattr(channel, name) == (tuple(value) if isinstance(value, list) else value)


@pytest.mark.parametrize("channel_type", OWN_FIELDS)
def test_every_type_rejects_the_fields_of_the_others(channel_type: str) -> None:
    given = {"name": "A", "channel_type": channel_type, "webhook_url": "https://example.com/x"}
    for other, fields in OWN_FIELDS.items():
        for field, value in fields.items():
            if other != channel_type:
                error = rejection(given | {field: value})
                assert (error.field, error.message) == (field, "is not a known field")


def test_absent_filters_match_all() -> None:
    channel = minimal()
    assert (channel.enabled, channel.send_resolved, channel.tenant_id) == (True, True, None)
    assert channel.severities == channel.alert_names == channel.alert_categories == channel.matchers == ()


@pytest.mark.parametrize(
    ("changes", "field", "fragment"),
    [
        ({"name": ...}, "name", "missing"),
        ({"name": ""}, "name", "empty"),
        ({"name": " \t"}, "name", "empty"),
        ({"name": "", "id": ...}, "name", "empty"),
        ({"name": "x" * 201}, "name", "200"),
        ({"name": "a\0b"}, "name", "U+0000"),
        ({"name": "a\ud800"}, "name", "surrogates"),
        ({"id": "Slack"}, "id", "a-z"),
        ({"id": "-a"}, "id", "letter or digit"),
        ({"id": "a_"}, "id", "letter or digit"),
        ({"id": "a\n"}, "id", "a-z"),
        ({"id": "../a"}, "id", "a-z"),
        ({"id": "a" * 64}, "id", "63"),
        ({"id": 5}, "id", "`str`"),
        ({"id": ..., "name": "警報"}, "id", "provide an id"),
        ({"channel_type": ...}, "channel_type", "slack, discord, teams, webhook"),
        ({"channel_type": "pigeon"}, "channel_type", "'pigeon' is unknown"),
        ({"channel_type": None}, "channel_type", "unknown"),
        ({"channel_type": []}, "channel_type", "unknown"),
        ({"channel_type": "discord", "slack_channel": ..., "webhook_url": ...}, "webhook_url", "missing"),
        ({"webhook_url": 1}, "webhook_url", "`str | null`"),
        ({"slack_channel": 1}, "slack_channel", "`str | null`"),
        ({"enabled": "yes"}, "enabled", "`bool`"),
        ({"send_resolved": 1}, "send_resolved", "`bool`"),
        ({"tenant_id": ""}, "tenant_id", "omit it"),
        ({"severities": "critical"}, "severities", "`array`"),
        ({"severities": [1]}, "severities[0]", "`str`"),
        ({"severities": ["a", ""]}, "severities[1]", "empty"),
        ({"alert_names": ["x"] * 1001}, "alert_names", "1000"),
        ({"alert_names": ["a\0"]}, "alert_names[0]", "U+0000"),
        ({"alert_categories": [""]}, "alert_categories[0]", "empty"),
        ({"matchers": ["a=b", "a"]}, "matchers[1]", "'a' is not a matcher"),
        ({"matchers": ["a=b", 'a=~"("']}, "matchers[1]", "invalid regular expression"),
        ({"matchers": ["a=b, a="]}, "matchers[0]", 'write it as a="b", a=""'),
        ({"webhok_url": "x"}, "webhok_url", "not a known field"),
    ],
)
def test_an_invalid_channel_is_rejected_with_the_field(changes: dict[str, Any], field: str, fragment: str) -> None:
    error = rejection({name: value for name, value in (GUIDE | changes).items() if value is not ...})
    assert error.field == field
    assert fragment in error.message


def test_a_header_that_is_not_a_string_is_rejected() -> None:
    given = {"name": "A", "channel_type": "webhook", "webhook_url": "https://example.com/x"}
    assert rejection(given | {"custom_headers": {"X-Key": 5}}).field == "custom_headers[...]"


@pytest.mark.parametrize("data", [None, [], "x", 1, [GUIDE]])
def test_json_other_than_an_object_is_rejected(data: Any) -> None:
    assert str(rejection(data)) == "must be a JSON object"


@pytest.mark.parametrize(
    ("name", "derived"),
    [
        ("Critical Alerts", "critical-alerts"),
        ("  On-call / DB (EU)  ", "on-call-db-eu"),
        ("Ünïcode Ärger", "unicode-arger"),
        ("a_b", "a-b"),
        ("x" * 100, "x" * 63),
        ("x" * 62 + " tail", "x" * 62),
    ],
)
def test_an_id_is_derived_from_the_name(name: str, derived: str) -> None:
    assert slug(name) == derived
    assert minimal(name=name).id == derived


def test_an_empty_id_is_refused() -> None:
    with pytest.raises(InvalidInput, match="id: must not be empty"):
        minimal(id="")


def test_no_id_is_derived_from_a_name_without_letters() -> None:
    with pytest.raises(InvalidInput, match="id: can't be derived"):
        slug("---")
