"""Do the channel commands send what was asked for, and show what came back?"""

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


async def test_creating_sends_the_options_given_and_no_others(api: FakeApi, relay_at: Relay) -> None:
    api.answer(OPS, 201)
    ran = await relay_at("channels", "create", "slack", "--name", "Ops", "--webhook-url", URL)
    assert (ran.code, ran.err) == (0, "")
    assert api.seen[0].method == "POST"
    assert api.seen[0].path == "/channels"
    assert api.seen[0].authorization == "Bearer a-key"
    assert api.body == {"channel_type": "slack", "name": "Ops", "webhook_url": URL}


@pytest.mark.parametrize(
    "words",
    [
        ["--severities", "critical", "warning"],
        ["--severities", "critical", "--severities", "warning"],
    ],
    ids=["listed", "repeated"],
)
async def test_a_list_is_spelled_in_two_ways(api: FakeApi, relay_at: Relay, words: list[str]) -> None:
    await relay_at("channels", "create", "slack", *words, "--name", "Ops", "--webhook-url", URL)
    assert api.body["severities"] == ["critical", "warning"]


async def test_an_empty_list_is_refused_as_it_would_match_all(api: FakeApi, relay_at: Relay) -> None:
    ran = await relay_at("channels", "update", "ops", "--severities")
    assert ran.code == 2
    assert "--severities" in ran.err
    assert api.seen == []


async def test_every_option_reaches_the_field_of_its_name(api: FakeApi, relay_at: Relay) -> None:
    words = ["--webhook-url", URL, "--slack-channel", "#ops", "--slack-username", "relay", "--id", "ops-1"]
    words += ["--slack-icon-emoji", ":bell:", "--tenant-id", "acme", "--alert-names", "Down", "Slow"]
    words += ["--alert-categories", "db", "--matchers", 'team=~"db|infra"', "--no-send-resolved", "--no-enabled"]
    await relay_at("channels", "create", "slack", "--name", "Ops", *words)
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


async def test_headers_are_repeated_and_keep_their_colons(api: FakeApi, relay_at: Relay) -> None:
    words = ["--custom-headers", "X-Team: a:b", "--custom-headers", "X-Empty:"]
    await relay_at("channels", "create", "webhook", "--name", "Hook", "--webhook-url", URL, *words)
    assert api.body["custom_headers"] == {"X-Team": "a:b", "X-Empty": ""}


async def test_a_header_without_a_colon_is_refused_by_its_option(api: FakeApi, relay_at: Relay) -> None:
    ran = await relay_at(
        "channels", "create", "webhook", "--name", "Hook", "--webhook-url", URL, "--custom-headers", "oops"
    )
    assert (ran.code, ran.err) == (1, "relay: --custom-headers: must look like 'Name: value'\n")
    assert api.seen == []


async def test_a_secret_is_read_from_standard_input(api: FakeApi, relay_at: Relay) -> None:
    await relay_at("channels", "create", "teams", "--webhook-url", "-", "--name", "Team", stdin=f"{URL}\n")
    assert api.body["webhook_url"] == URL


async def test_secrets_and_templates_are_read_from_files(api: FakeApi, relay_at: Relay, tmp_path: Path) -> None:
    for name, text in {"url": f"{URL}\n", "body": '{"é": 1}\n', "headers": "A: 1\nB: 2\n"}.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    words = ["--webhook-url", f"@{tmp_path}/url", "--custom-payload-template", f"@{tmp_path}/body"]
    await relay_at("channels", "update", "hook", *words, "--custom-headers", f"@{tmp_path}/headers")
    assert api.body == {
        "webhook_url": URL,
        "custom_payload_template": '{"é": 1}',
        "custom_headers": {"A": "1", "B": "2"},
    }


async def test_what_is_no_secret_may_start_with_an_at_sign(api: FakeApi, relay_at: Relay) -> None:
    await relay_at("channels", "update", "ops", "--slack-channel", "@jo")
    assert api.body == {"slack_channel": "@jo"}


@pytest.mark.parametrize(
    ("source", "complaint"),
    [("-", "standard input is empty"), ("@gone", "can't read @gone: No such file or directory")],
)
async def test_a_secret_that_cannot_be_read_is_one_line(relay_at: Relay, source: str, complaint: str) -> None:
    ran = await relay_at("channels", "create", "slack", "--name", "Ops", "--webhook-url", source)
    assert (ran.code, ran.err) == (1, f"relay: --webhook-url: {complaint}\n")


async def test_updating_sends_only_what_changes(api: FakeApi, relay_at: Relay) -> None:
    ran = await relay_at("channels", "update", "ops", "--no-enabled")
    assert ran.code == 0
    assert (api.seen[0].method, api.seen[0].path) == ("PATCH", "/channels/ops")
    assert api.body == {"enabled": False}


async def test_clearing_sends_null(api: FakeApi, relay_at: Relay) -> None:
    await relay_at("channels", "update", "ops", "--clear", "tenant-id", "--clear", "severities", "--name", "Oh")
    assert api.body == {"name": "Oh", "tenant_id": None, "severities": None}


@pytest.mark.parametrize(
    ("words", "code", "complaint"),
    [
        ([], 1, "nothing to update"),
        (["--clear", "severities", "--severities", "info"], 1, "--severities: can't be both set and cleared"),
        (["--clear", "colour"], 2, '"colour"'),
        (["--empty-severities"], 2, "--empty-severities"),
    ],
)
async def test_an_update_that_means_nothing_is_not_sent(
    api: FakeApi, relay_at: Relay, words: list[str], code: int, complaint: str
) -> None:
    ran = await relay_at("channels", "update", "ops", *words)
    assert ran.code == code
    assert complaint in ran.err
    assert api.seen == []


async def test_a_list_shows_a_line_for_each_channel_and_cuts_nothing(api: FakeApi, relay_at: Relay) -> None:
    long = {**OPS, "id": "a" * 63, "name": "[red]Long[/] " + "name " * 40}
    api.answer({"items": [OPS, long], "next": None})
    ran = await relay_at("channels", "list")
    heading, first, second = ran.out.splitlines()
    assert heading.split()[:3] == ["ID", "NAME", "CHANNEL"]
    assert first.split()[:5] == ["ops", "Ops", "slack", "yes", "failing"]
    assert "critical, warning" in first
    assert second.startswith("a" * 63 + "  [red]Long[/] " + "name " * 40)


async def test_a_list_as_json_holds_all_pages(api: FakeApi, relay_at: Relay) -> None:
    api.answer({"items": [OPS], "next": "after=ops&x"})
    api.answer({"items": [{**OPS, "id": "two"}], "next": None})
    ran = await relay_at("channels", "list", "--output", "json")
    assert ran.json == {"items": [OPS, {**OPS, "id": "two"}]}
    assert [seen.query for seen in api.seen] == [{"limit": "500"}, {"limit": "500", "cursor": "after=ops&x"}]


async def test_one_channel_is_shown_field_by_field(api: FakeApi, relay_at: Relay) -> None:
    api.answer(OPS)
    ran = await relay_at("channels", "get", "a/b")
    lines = dict(line.split(maxsplit=1) for line in ran.out.splitlines())
    assert list(lines)[:2] == ["id", "name"]
    assert lines["name"] == "Ops"
    assert lines["enabled"] == "yes"
    assert lines["tenant_id"] == "-"
    assert api.seen[0].path == "/channels/a%2Fb"


async def test_one_channel_as_json_is_what_the_server_said(api: FakeApi, relay_at: Relay) -> None:
    api.answer(OPS)
    assert (await relay_at("channels", "get", "ops", "--output", "json")).json == OPS


async def test_the_health_of_a_channel_is_shown_field_by_field(api: FakeApi, relay_at: Relay) -> None:
    api.answer(OPS["health"])
    ran = await relay_at("channels", "health", "ops")
    lines = dict(line.split(maxsplit=1) for line in ran.out.splitlines())
    assert lines == {"state": "failing", "waiting": "3", "last_error": "500 oh"}
    assert (api.seen[0].method, api.seen[0].path) == ("GET", "/channels/ops/health")
    api.answer(OPS["health"])
    assert (await relay_at("channels", "health", "ops", "--output", "json")).json == OPS["health"]


async def test_a_limit_is_given_as_json_and_a_fallback_by_its_id(api: FakeApi, relay_at: Relay) -> None:
    words = ["--rate-limit", '{"per_second": 0.5, "burst": 3}', "--fallback-channel-id", "mail"]
    ran = await relay_at("channels", "update", "ops", *words)
    assert ran.code == 0
    assert api.body == {"rate_limit": {"per_second": 0.5, "burst": 3}, "fallback_channel_id": "mail"}


async def test_a_limit_that_is_no_json_is_refused_by_its_option(api: FakeApi, relay_at: Relay) -> None:
    ran = await relay_at("channels", "update", "ops", "--rate-limit", "1/s")
    assert (ran.code, ran.err.startswith("relay: --rate-limit: must be JSON")) == (1, True)
    await relay_at("channels", "update", "ops", "--clear", "rate-limit")
    assert api.body == {"rate_limit": None}


async def test_deleting_says_so(api: FakeApi, relay_at: Relay) -> None:
    ran = await relay_at("channels", "delete", "ops")
    assert (ran.code, ran.out) == (0, "the channel ops is deleted\n")
    assert (api.seen[0].method, api.seen[0].path) == ("DELETE", "/channels/ops")


@pytest.mark.parametrize(("delivered", "code"), [(True, 0), (False, 1)])
async def test_the_exit_code_of_a_test_says_whether_it_arrived(
    api: FakeApi, relay_at: Relay, delivered: bool, code: int
) -> None:
    outcome = {"delivered": delivered, "channel_id": "ops", "status_code": 200, "detail": "ok", "reason": None}
    api.answer(outcome)
    words = ["--severity", "critical", "--message", "Is this on?", "--output", "json"]
    ran = await relay_at("channels", "test", "ops", *words)
    assert (ran.code, ran.json) == (code, outcome)
    assert api.seen[0].path == "/test"
    assert api.body == {"channel_id": "ops", "severity": "critical", "message": "Is this on?"}


async def test_the_help_of_each_type_names_its_own_options(relay: Relay) -> None:
    slack = await relay("channels", "create", "slack", "--help")
    webhook = await relay("channels", "create", "webhook", "--help")
    assert "--slack-channel" in slack.out
    assert "--custom-headers" not in slack.out
    assert "--custom-headers" in webhook.out
    for field in BaseChannel.__struct_fields__:
        assert "--" + field.replace("_", "-") in slack.out


async def test_the_required_options_are_named_when_missing(relay: Relay) -> None:
    ran = await relay("channels", "create", "discord", "--name", "D")
    assert ran.code == 2
    assert ran.err.startswith("relay: ")
    assert "--webhook-url" in ran.err
