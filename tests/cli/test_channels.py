"""`relay channels` sends the given options and shows the responses."""

from pathlib import Path

import pytest

from relay.domain.channel_types import BaseChannel

from .conftest import FakeApi, Relay

URL = "http://127.0.0.1:9/hook"
OPS = {
    "id": "ops",
    "name": "Ops",
    "channel_type": "slack",
    "enabled": True,
    "tenant_id": None,
    "severities": ["critical", "warning"],
    "alert_names": [],
    "matchers": [],
    "webhook_url": "********",
    "health": {"state": "failing", "waiting": 3, "last_error": "500 oh"},
}


async def test_create_sends_only_the_given_options(api: FakeApi, relay_at: Relay) -> None:
    api.respond(OPS, 201)
    result = await relay_at("channels", "create", "slack", "--name", "Ops", "--webhook-url", URL)
    assert (result.code, result.err) == (0, "")
    assert api.requests[0].method == "POST"
    assert api.requests[0].path == "/channels"
    assert api.requests[0].authorization == "Bearer a-key"
    assert api.body == {"channel_type": "slack", "name": "Ops", "webhook_url": URL}


@pytest.mark.parametrize(
    "arguments",
    [
        ["--severities", "critical", "warning"],
        ["--severities", "critical", "--severities", "warning"],
    ],
    ids=["listed", "repeated"],
)
async def test_a_list_can_be_given_in_two_ways(api: FakeApi, relay_at: Relay, arguments: list[str]) -> None:
    await relay_at("channels", "create", "slack", *arguments, "--name", "Ops", "--webhook-url", URL)
    assert api.body["severities"] == ["critical", "warning"]


async def test_an_empty_list_is_rejected_because_it_would_match_all(api: FakeApi, relay_at: Relay) -> None:
    result = await relay_at("channels", "update", "ops", "--severities")
    assert result.code == 2
    assert "--severities" in result.err
    assert api.requests == []


async def test_every_option_sets_the_field_of_its_name(api: FakeApi, relay_at: Relay) -> None:
    arguments = ["--webhook-url", URL, "--slack-channel", "#ops", "--slack-username", "relay", "--id", "ops-1"]
    arguments += ["--slack-icon-emoji", ":bell:", "--tenant-id", "acme", "--alert-names", "Down", "Slow"]
    arguments += [
        "--alert-categories",
        "db",
        "--matchers",
        'team=~"db|infra"',
        "--no-send-resolved",
        "--no-enabled",
    ]
    await relay_at("channels", "create", "slack", "--name", "Ops", *arguments)
    assert api.body == {
        "channel_type": "slack",
        "id": "ops-1",
        "name": "Ops",
        "webhook_url": URL,
        "slack_channel": "#ops",
        "slack_username": "relay",
        "slack_icon_emoji": ":bell:",
        "tenant_id": "acme",
        "alert_names": ["Down", "Slow"],
        "alert_categories": ["db"],
        "matchers": ['team=~"db|infra"'],
        "send_resolved": False,
        "enabled": False,
    }


async def test_headers_are_repeatable_and_may_contain_colons(api: FakeApi, relay_at: Relay) -> None:
    arguments = ["--custom-headers", "X-Team: a:b", "--custom-headers", "X-Empty:"]
    await relay_at("channels", "create", "webhook", "--name", "Hook", "--webhook-url", URL, *arguments)
    assert api.body["custom_headers"] == {"X-Team": "a:b", "X-Empty": ""}


async def test_a_header_without_a_colon_is_rejected(api: FakeApi, relay_at: Relay) -> None:
    result = await relay_at(
        "channels", "create", "webhook", "--name", "Hook", "--webhook-url", URL, "--custom-headers", "oops"
    )
    assert (result.code, result.err) == (1, "relay: --custom-headers: must look like 'Name: value'\n")
    assert api.requests == []


async def test_a_secret_is_read_from_standard_input(api: FakeApi, relay_at: Relay) -> None:
    await relay_at("channels", "create", "teams", "--webhook-url", "-", "--name", "Team", stdin=f"{URL}\n")
    assert api.body["webhook_url"] == URL


async def test_secrets_and_templates_are_read_from_files(api: FakeApi, relay_at: Relay, tmp_path: Path) -> None:
    for name, text in {"url": f"{URL}\n", "body": '{"é": 1}\n', "headers": "A: 1\nB: 2\n"}.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    arguments = ["--webhook-url", f"@{tmp_path}/url", "--custom-payload-template", f"@{tmp_path}/body"]
    await relay_at("channels", "update", "hook", *arguments, "--custom-headers", f"@{tmp_path}/headers")
    assert api.body == {
        "webhook_url": URL,
        "custom_payload_template": '{"é": 1}',
        "custom_headers": {"A": "1", "B": "2"},
    }


async def test_a_value_that_is_not_secret_may_start_with_an_at_sign(api: FakeApi, relay_at: Relay) -> None:
    await relay_at("channels", "update", "ops", "--slack-channel", "@jo")
    assert api.body == {"slack_channel": "@jo"}


@pytest.mark.parametrize(
    ("source", "message"),
    [("-", "standard input is empty"), ("@gone", "can't read @gone: No such file or directory")],
)
async def test_an_unreadable_secret_is_reported_in_one_line(relay_at: Relay, source: str, message: str) -> None:
    result = await relay_at("channels", "create", "slack", "--name", "Ops", "--webhook-url", source)
    assert (result.code, result.err) == (1, f"relay: --webhook-url: {message}\n")


async def test_update_sends_only_the_changes(api: FakeApi, relay_at: Relay) -> None:
    result = await relay_at("channels", "update", "ops", "--no-enabled")
    assert result.code == 0
    assert (api.requests[0].method, api.requests[0].path) == ("PATCH", "/channels/ops")
    assert api.body == {"enabled": False}


async def test_clear_sends_null(api: FakeApi, relay_at: Relay) -> None:
    await relay_at("channels", "update", "ops", "--clear", "tenant-id", "--clear", "severities", "--name", "Oh")
    assert api.body == {"name": "Oh", "tenant_id": None, "severities": None}


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 1, "nothing to update"),
        (["--clear", "severities", "--severities", "info"], 1, "--severities: can't be both set and cleared"),
        (["--clear", "color"], 2, '"color"'),
        (["--empty-severities"], 2, "--empty-severities"),
    ],
)
async def test_an_invalid_update_is_not_sent(
    api: FakeApi, relay_at: Relay, arguments: list[str], code: int, message: str
) -> None:
    result = await relay_at("channels", "update", "ops", *arguments)
    assert result.code == code
    assert message in result.err
    assert api.requests == []


async def test_the_list_has_a_line_per_channel_and_truncates_nothing(api: FakeApi, relay_at: Relay) -> None:
    long = {**OPS, "id": "a" * 63, "name": "[red]Long[/] " + "name " * 40}
    api.respond({"items": [OPS, long], "next": None})
    result = await relay_at("channels", "list")
    heading, first, second = result.out.splitlines()
    assert heading.split()[:3] == ["ID", "NAME", "CHANNEL"]
    assert first.split()[:5] == ["ops", "Ops", "slack", "yes", "failing"]
    assert "critical, warning" in first
    assert second.startswith("a" * 63 + "  [red]Long[/] " + "name " * 40)


async def test_the_list_as_json_contains_all_pages(api: FakeApi, relay_at: Relay) -> None:
    api.respond({"items": [OPS], "next": "after=ops&x"})
    api.respond({"items": [{**OPS, "id": "two"}], "next": None})
    result = await relay_at("channels", "list", "--output", "json")
    assert result.json == {"items": [OPS, {**OPS, "id": "two"}]}
    assert [request.query for request in api.requests] == [
        {"limit": "500"},
        {"limit": "500", "cursor": "after=ops&x"},
    ]


async def test_a_channel_is_shown_field_by_field(api: FakeApi, relay_at: Relay) -> None:
    api.respond(OPS)
    result = await relay_at("channels", "get", "a/b")
    lines = dict(line.split(maxsplit=1) for line in result.out.splitlines())
    assert list(lines)[:2] == ["id", "name"]
    assert lines["name"] == "Ops"
    assert lines["enabled"] == "yes"
    assert lines["tenant_id"] == "-"
    assert api.requests[0].path == "/channels/a%2Fb"


async def test_a_channel_as_json_is_the_response_of_the_server(api: FakeApi, relay_at: Relay) -> None:
    api.respond(OPS)
    assert (await relay_at("channels", "get", "ops", "--output", "json")).json == OPS


async def test_the_health_of_a_channel_is_shown_field_by_field(api: FakeApi, relay_at: Relay) -> None:
    api.respond(OPS["health"])
    result = await relay_at("channels", "health", "ops")
    lines = dict(line.split(maxsplit=1) for line in result.out.splitlines())
    assert lines == {"state": "failing", "waiting": "3", "last_error": "500 oh"}
    assert (api.requests[0].method, api.requests[0].path) == ("GET", "/channels/ops/health")
    api.respond(OPS["health"])
    assert (await relay_at("channels", "health", "ops", "--output", "json")).json == OPS["health"]


async def test_a_rate_limit_is_given_as_json_and_a_fallback_by_its_id(api: FakeApi, relay_at: Relay) -> None:
    arguments = ["--rate-limit", '{"per_second": 0.5, "burst": 3}', "--fallback-channel-id", "mail"]
    result = await relay_at("channels", "update", "ops", *arguments)
    assert result.code == 0
    assert api.body == {"rate_limit": {"per_second": 0.5, "burst": 3}, "fallback_channel_id": "mail"}


async def test_a_rate_limit_that_is_not_json_is_rejected(api: FakeApi, relay_at: Relay) -> None:
    result = await relay_at("channels", "update", "ops", "--rate-limit", "1/s")
    assert (result.code, result.err.startswith("relay: --rate-limit: must be JSON")) == (1, True)
    await relay_at("channels", "update", "ops", "--clear", "rate-limit")
    assert api.body == {"rate_limit": None}


async def test_delete_prints_a_confirmation(api: FakeApi, relay_at: Relay) -> None:
    result = await relay_at("channels", "delete", "ops")
    assert (result.code, result.out) == (0, "the channel ops is deleted\n")
    assert (api.requests[0].method, api.requests[0].path) == ("DELETE", "/channels/ops")


@pytest.mark.parametrize(("delivered", "code"), [(True, 0), (False, 1)])
async def test_the_exit_code_of_a_test_shows_whether_it_was_delivered(
    api: FakeApi, relay_at: Relay, delivered: bool, code: int
) -> None:
    outcome = {"delivered": delivered, "channel_id": "ops", "status_code": 200, "detail": "ok", "reason": None}
    api.respond(outcome)
    arguments = ["--severity", "critical", "--message", "Is this on?", "--output", "json"]
    result = await relay_at("channels", "test", "ops", *arguments)
    assert (result.code, result.json) == (code, outcome)
    assert api.requests[0].path == "/test"
    assert api.body == {"channel_id": "ops", "severity": "critical", "message": "Is this on?"}


async def test_the_help_of_each_type_lists_its_own_options(relay: Relay) -> None:
    slack = await relay("channels", "create", "slack", "--help")
    webhook = await relay("channels", "create", "webhook", "--help")
    assert "--slack-channel" in slack.out
    assert "--custom-headers" not in slack.out
    assert "--custom-headers" in webhook.out
    for field in BaseChannel.__struct_fields__:
        assert "--" + field.replace("_", "-") in slack.out


async def test_a_missing_required_option_is_named(relay: Relay) -> None:
    result = await relay("channels", "create", "discord", "--name", "D")
    assert result.code == 2
    assert result.err.startswith("relay: ")
    assert "--webhook-url" in result.err
