"""Masking of a channel's secrets, and patches that keep them."""

from typing import Any

import msgspec
import pytest

from relay.domain.channel_types import CHANNEL_CLASSES, Channel, type_name
from relay.domain.channels import MASK, mask_secrets, merge_patch, parse_channel
from relay.domain.errors import InvalidInput

URL = "https://example.com/hook/s3cret-path"
HEADERS = {"X-Key": "s3cret-key", "X-Other": "s3cret-other"}
TYPES = ["slack", "discord", "teams", "webhook"]


def channel_of(channel_type: str = "webhook", **more: Any) -> Channel:
    given = {"id": "a", "name": "A", "channel_type": channel_type, "webhook_url": URL} | more
    return parse_channel(given | ({"custom_headers": HEADERS} if channel_type == "webhook" else {}))


def secrets_after(patch: Any) -> tuple[str, dict[str, str]]:
    channel = msgspec.to_builtins(merge_patch(channel_of(), patch))
    return channel["webhook_url"], channel["custom_headers"]


@pytest.mark.parametrize("channel_type", TYPES)
def test_a_response_contains_no_secret(channel_type: str) -> None:
    response = mask_secrets(channel_of(channel_type))
    assert response["webhook_url"] == MASK
    assert "s3cret" not in msgspec.json.encode(response).decode()
    assert (response["id"], response["name"], response["channel_type"]) == ("a", "A", channel_type)


def test_a_response_contains_the_names_of_headers() -> None:
    assert mask_secrets(channel_of())["custom_headers"] == {"X-Key": MASK, "X-Other": MASK}


@pytest.mark.parametrize("channel_type", TYPES)
def test_no_text_form_of_a_channel_contains_a_secret(channel_type: str) -> None:
    channel = channel_of(channel_type)
    for text in (repr(channel), str(channel), f"{channel}", repr({"channel": channel})):
        assert "s3cret" not in text
        assert f"<{channel_type} channel 'a'>" in text


def test_an_error_contains_no_secret() -> None:
    for changes in ({"webhook_url": [URL]}, {"custom_headers": [URL]}, {"custom_headers": {"a": [URL]}}, {URL: 1}):
        with pytest.raises(InvalidInput) as caught:
            parse_channel({"name": "A", "channel_type": "webhook", "webhook_url": URL} | changes)
        assert "s3cret" not in caught.value.message


@pytest.mark.parametrize("channel_type", TYPES)
def test_a_response_sent_back_changes_nothing(channel_type: str) -> None:
    channel = channel_of(channel_type, severities=["critical"], tenant_id="t", send_resolved=False)
    assert merge_patch(channel, mask_secrets(channel)) == channel


def test_absent_fields_are_kept() -> None:
    channel = merge_patch(channel_of(severities=["critical"]), {"name": "B"})
    assert (channel.id, channel.name, channel.severities) == ("a", "B", ("critical",))
    assert secrets_after({"name": "B"}) == (URL, HEADERS)
    assert merge_patch(channel, {}) == channel


@pytest.mark.parametrize(
    ("patch", "url", "headers"),
    [
        (
            {"webhook_url": "https://example.com/new", "custom_headers": HEADERS},
            "https://example.com/new",
            HEADERS,
        ),
        ({"webhook_url": "https://example.com/new", "custom_headers": None}, "https://example.com/new", {}),
        ({"webhook_url": MASK, "custom_headers": {"X-Key": MASK, "X-Other": MASK}}, URL, HEADERS),
        ({"custom_headers": {"X-Key": "new", "X-Other": MASK}}, URL, HEADERS | {"X-Key": "new"}),
        ({"custom_headers": {"X-Key": "new"}}, URL, HEADERS | {"X-Key": "new"}),
        ({"custom_headers": {"X-More": "m"}}, URL, HEADERS | {"X-More": "m"}),
        ({"custom_headers": {"X-Key": None}}, URL, {"X-Other": "s3cret-other"}),
        ({"custom_headers": {"X-Absent": None}}, URL, HEADERS),
        ({"custom_headers": {}}, URL, HEADERS),
        ({"custom_headers": None}, URL, {}),
    ],
)
def test_secrets_are_merged_one_by_one(patch: dict[str, Any], url: str, headers: dict[str, str]) -> None:
    assert secrets_after(patch) == (url, headers)


def test_null_resets_a_field() -> None:
    channel = channel_of(
        severities=["critical"], enabled=False, tenant_id="t", send_resolved=False, matchers=["a=b"]
    )
    every = ("severities", "enabled", "tenant_id", "send_resolved", "matchers", "custom_payload_template")
    assert merge_patch(channel, dict.fromkeys(every)) == channel_of()


@pytest.mark.parametrize("field", ["name", "webhook_url"])
def test_null_does_not_reset_a_required_field(field: str) -> None:
    with pytest.raises(InvalidInput, match=f"{field}: is missing"):
        merge_patch(channel_of(), {field: None})


@pytest.mark.parametrize(
    ("patch", "field"),
    [
        ({"id": "b"}, "id"),
        ({"id": None}, "id"),
        ({"channel_type": "slack"}, "channel_type"),
        ({"channel_type": None}, "channel_type"),
    ],
)
def test_the_id_and_the_type_are_fixed(patch: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput, match="can't be changed") as caught:
        merge_patch(channel_of(), patch)
    assert caught.value.field == field


def test_the_same_id_and_type_may_be_sent_back() -> None:
    assert merge_patch(channel_of(), {"id": "a", "channel_type": "webhook", "name": "B"}).name == "B"


@pytest.mark.parametrize(
    ("patch", "field"),
    [
        ([], ""),
        (None, ""),
        ({"severities": [""]}, "severities[0]"),
        ({"matchers": ["a"]}, "matchers[0]"),
        ({"slack_channel": "#a"}, "slack_channel"),
        ({"custom_headers": 5}, "custom_headers"),
        ({"webhook_url": {"a": MASK}}, "webhook_url"),
        ({"name": "\0"}, "name"),
    ],
)
def test_a_patch_is_validated_like_a_channel(patch: Any, field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        merge_patch(channel_of(), patch)
    assert caught.value.field == field


SECRETS: dict[str, dict[str, Any]] = {
    "slack": {"bot_token": "xoxb-1", "slack_channel": "#a"},
    "discord": {"webhook_url": URL, "tls_cert": "c", "tls_key": "k"},
    "teams": {"webhook_url": URL, "tls_cert": "c", "tls_key": "k"},
    "webhook": {"webhook_url": URL, "custom_headers": HEADERS, "signing_secret": "s"},
    "telegram": {"bot_token": "1:a", "chat_id": "1"},
    "pagerduty": {"routing_key": "k" * 32},
    "sms": {"account_sid": "a", "auth_token": "t", "sms_to": ["+1"], "sms_from": "+2"},
    "email": {"smtp_host": "a", "smtp_password": "p", "email_from": "a@b.c", "email_to": ["a@b.c"]},
    "apprise": {"apprise_url": "json://a.example", "tls_cert": "c", "tls_key": "k"},
}
MOVES = [
    ("slack", "slack_api_url", "https://elsewhere.example"),
    ("slack", "webhook_url", "https://elsewhere.example"),
    ("discord", "webhook_url", "https://elsewhere.example"),
    ("teams", "webhook_url", "https://elsewhere.example"),
    ("webhook", "webhook_url", "https://elsewhere.example"),
    ("telegram", "telegram_api_url", "https://elsewhere.example"),
    ("pagerduty", "pagerduty_url", "https://elsewhere.example"),
    ("sms", "twilio_url", "https://elsewhere.example"),
    ("email", "smtp_host", "elsewhere.example"),
    ("email", "smtp_port", 2525),
    ("email", "smtp_security", "none"),
    ("apprise", "apprise_url", "json://elsewhere.example"),
]


def test_every_type_declares_its_destination() -> None:
    moved = {(channel_type, field) for channel_type, field, _ in MOVES}
    declared = {(type_name(known), field) for known in CHANNEL_CLASSES for field in known.DESTINATION}
    assert moved == declared
    for known in CHANNEL_CLASSES:
        names = [name for name in known.__struct_fields__ if name.endswith(("_url", "_host", "_port"))]
        assert set(names) - {"discord_avatar_url"} <= known.DESTINATION, known


@pytest.mark.parametrize(("channel_type", "field", "value"), MOVES)
def test_a_channel_that_sends_elsewhere_needs_its_secrets_again(channel_type: str, field: str, value: Any) -> None:
    stored = parse_channel({"name": "a", "channel_type": channel_type, **SECRETS[channel_type]})
    secret = {name for name in stored.SECRET - {field} if getattr(stored, name)}
    with pytest.raises(InvalidInput, match=f"changing {field} changes where the channel sends") as refused:
        merge_patch(stored, {field: value})
    assert all(name in str(refused.value) for name in secret)
    with pytest.raises(InvalidInput, match="changes where the channel sends"):
        merge_patch(stored, {field: value, **dict.fromkeys(secret, MASK)})
    again = {name: SECRETS[channel_type][name] for name in secret}
    assert getattr(merge_patch(stored, {field: value, **again}), field) == value


def test_a_destination_that_is_sent_unchanged_needs_no_secrets() -> None:
    stored = parse_channel({"name": "a", "channel_type": "telegram", **SECRETS["telegram"]})
    patch = {"telegram_api_url": "https://api.telegram.org", "bot_token": MASK, "name": "b"}
    assert merge_patch(stored, patch).name == "b"


def test_one_header_that_is_kept_is_named() -> None:
    stored = parse_channel({"name": "a", "channel_type": "webhook", **SECRETS["webhook"], "signing_secret": None})
    patch = {"webhook_url": "https://elsewhere.example", "custom_headers": {"X-Key": "again"}}
    with pytest.raises(InvalidInput, match=r"or null to remove them: custom_headers.X-Other$"):
        merge_patch(stored, patch)
