"""Rejection of a channel's URL that could never be connected to, without echoing it."""

import pytest

from relay.domain.channel_types import BaseChannel, type_name
from relay.domain.errors import InvalidInput, SettingsError
from relay.notify.registry import check_channel
from relay.notify.transport.egress_policy import EgressPolicy
from tests.notify.channel_types import ChannelType, each_http_type, each_secret_url_type
from tests.notify.factories import TOKENS, channel

PRIVATE = [
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "127.0.0.1",
    "127.1.2.3",
    "169.254.1.1",
    "169.254.169.254",
    "192.0.0.192",
    "168.63.129.16",
    "100.100.100.200",
    "[fd00:ec2::254]",
    "[3fff::1]",
    "[3fff:fff::1]",
    "[5f00::1]",
    "[64:ff9b:1::a00:1]",
    "[::ffff:168.63.129.16]",
    "[64:ff9b::168.63.129.16]",
    "[2002:a83f:8110::1]",
    "100.64.0.1",
    "0.0.0.0",
    "224.0.0.1",
    "255.255.255.255",
    "192.0.2.1",
    "198.18.0.1",
    "\uff11\uff12\uff17.0.0.1",
    "127.0.0.1.",
    "[::]",
    "[::1]",
    "[::1%25eth0]",
    "[fe80::1%25eth0]",
    "[fc00::1]",
    "[fd12:3456::1]",
    "[fe80::1]",
    "[fec0::1]",
    "[ff02::1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:a00:1]",
    "[::127.0.0.1]",
    "[64:ff9b::7f00:1]",
    "[64:ff9b:1::7f00:1]",
    "[2002:7f00:1::]",
    "[2001:db8::1]",
    "localhost",
    "LOCALHOST.",
]
MALFORMED = [
    "",
    "example.com",
    "https://",
    "https:///secret",
    "ftp://example.com/",
    "javascript:alert(1)",
    "https://example.com:0/",
    "https://example.com:99999/",
    "https://example.com:port/",
    "https://[::1/",
    "https://[::1].example.com/",
    "https://a..b/",
    "https://.../",
    f"https://{'a' * 64}.example.com/",
    "https://2130706433/",
    "https://0x7f000001/",
    "http://0x7f.1/",
    "http://127.1/",
    "https://0177.0.0.1/",
    "https://127.0.0.1.1/",
    "https://example.com\\@127.0.0.1/",
    "https://127.0.0.1\\@example.com/",
]
UNPRINTABLE = [
    "https://example.com/a b",
    "https://example.com/\r\nX: y",
    " https://example.com",
    "https://e\0.com",
]


def rejection(url: str, *allowed: str) -> str:
    with pytest.raises(InvalidInput) as caught:
        EgressPolicy(allowed).check_url("webhook_url", url)
    assert caught.value.field == "webhook_url"
    return caught.value.message


@each_http_type
def test_public_addresses_over_https_are_accepted(channel_type: ChannelType) -> None:
    for url in (
        "https://example.com",
        "HTTPS://EXAMPLE.COM./x",
        "https://bücher.example/x",
        "https://9.9.9.9/",
        "https://[2620:fe::fe]/",
    ):
        check_channel(channel(channel_type, url), EgressPolicy(()))


@each_secret_url_type
def test_a_secret_url_may_contain_credentials_and_a_query(channel_type: ChannelType) -> None:
    for url in ("HTTPS://EXAMPLE.COM./x?y#z", "https://user:pw@example.com:8443/x"):
        check_channel(channel(channel_type, url), EgressPolicy(()))


@pytest.mark.parametrize(
    "url", ["https://user:pw@example.com", "https://u@example.com", "https://e.com/?k=v", "https://e.com/#k"]
)
@pytest.mark.parametrize("channel_type", TOKENS, ids=type_name)
def test_a_visible_url_must_not_contain_secrets(channel_type: type[BaseChannel], url: str) -> None:
    with pytest.raises(InvalidInput, match="the field is not secret") as caught:
        check_channel(channel(channel_type, url), EgressPolicy(()))
    assert caught.value.field == TOKENS[channel_type][0]


@pytest.mark.parametrize("host", PRIVATE)
@pytest.mark.parametrize("scheme", ["https", "http"])
def test_private_addresses_are_rejected(scheme: str, host: str) -> None:
    message = rejection(f"{scheme}://{host}/hidden-path")
    assert "RELAY_ALLOWED_TARGETS" in message
    assert "hidden-path" not in message


@pytest.mark.parametrize("url", MALFORMED)
def test_malformed_urls_are_rejected(url: str) -> None:
    assert rejection(url) == "must be a URL such as https://example.com/path"


@pytest.mark.parametrize("url", UNPRINTABLE)
def test_spaces_and_control_characters_are_rejected(url: str) -> None:
    assert rejection(url) == "must not contain spaces or control characters"


def test_an_overlong_url_is_rejected() -> None:
    assert rejection("https://example.com/" + "x" * 5000) == "must not be longer than 4096 characters"


@each_http_type
def test_the_error_names_the_field_of_the_channel(channel_type: ChannelType) -> None:
    with pytest.raises(InvalidInput) as caught:
        check_channel(channel(channel_type, "https://127.0.0.1/hidden-path"), EgressPolicy(()))
    assert caught.value.field == (TOKENS[channel_type][0] if channel_type in TOKENS else "webhook_url")
    assert "hidden-path" not in str(caught.value)


@pytest.mark.parametrize("url", ["http://example.com/hidden", "http://hooks.internal/hidden"])
def test_plain_http_is_rejected(url: str) -> None:
    message = rejection(url)
    assert message.startswith("must start with https://")
    assert "hidden" not in message


@pytest.mark.parametrize(
    ("allowed", "url"),
    [
        ("10.0.0.0/8", "http://10.1.2.3/x"),
        ("10.0.0.0/8", "https://[::ffff:10.1.2.3]/x"),
        ("127.0.0.1", "http://127.0.0.1:9000/x"),
        ("127.0.0.0/8", "http://localhost:9000/x"),
        ("fd00::/8", "http://[fd00::1]/x"),
        ("hooks.internal", "http://HOOKS.internal./x"),
        ("Hooks.Internal.", "http://hooks.internal/x"),
        ("*.internal", "http://a.b.internal/x"),
        ("localhost", "http://localhost/x"),
        ("example.com", "http://user:pw@example.com:81/x"),
    ],
)
def test_allowed_targets_are_exempt(allowed: str, url: str) -> None:
    EgressPolicy([allowed]).check_url("webhook_url", url)


@pytest.mark.parametrize(
    ("allowed", "url"),
    [
        ("10.0.0.0/8", "http://11.1.2.3/x"),
        ("10.0.0.0/8", "https://192.168.0.1/x"),
        ("127.0.0.1", "http://127.0.0.2/x"),
        ("127.0.0.0/8", "https://[::1]/x"),
        ("hooks.internal", "http://evil-hooks.internal/x"),
        ("hooks.internal", "http://hooks.internal.evil.com/x"),
        ("hooks.internal", "http://hooks.internal@evil.com/x"),
        ("*.internal", "http://internal/x"),
        ("*.internal", "http://evilinternal/x"),
        ("*.internal", "https://[::1%25.internal]/x"),
    ],
)
def test_lookalikes_of_allowed_targets_are_not_exempt(allowed: str, url: str) -> None:
    assert "RELAY_ALLOWED_TARGETS" in rejection(url, allowed)


@pytest.mark.parametrize("entry", ["10.0.0.1/8", "http://hooks.internal", "hooks.internal:80", "a b", "", "u@h"])
def test_an_invalid_allowed_target_is_a_settings_error(entry: str) -> None:
    with pytest.raises(SettingsError, match="RELAY_ALLOWED_TARGETS"):
        EgressPolicy([entry])
