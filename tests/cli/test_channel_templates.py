"""`relay channel-templates` and `relay channels create --from-template`."""

import json
from pathlib import Path
from typing import Any

import pytest

from .conftest import FakeApi, Relay

URL = "http://127.0.0.1:9/hook"


def parameter(name: str, **fields: Any) -> dict[str, Any]:
    defaults = {
        "description": f"The {name}.",
        "type": "string",
        "required": True,
        "secret": False,
        "default": None,
    }
    return {"name": name, **defaults, **fields}


TEMPLATE: dict[str, Any] = {
    "id": "mine",
    "name": "Mine",
    "description": "What I like.",
    "builtin": False,
    "parameters": [
        parameter("url", secret=True),
        parameter("rate", type="number", required=False),
        parameter("resolved", type="boolean", required=False, default=True),
        parameter("levels", type="list", required=False),
        parameter("headers", type="object", required=False, secret=True),
        parameter("handle", required=False),
    ],
    "channels": [{"channel_type": "slack", "name": "Mine", "webhook_url": {"$": "url"}}],
}
CREATED = {"id": "mine", "name": "Mine", "channel_type": "slack", "enabled": True, "health": {"state": "healthy"}}


async def request_body(api: FakeApi, relay_at: Relay, *given: str, stdin: str = "") -> Any:
    """The body that `channels create --from-template mine` sends for these `--set`."""
    api.respond(TEMPLATE)
    api.respond({"items": [CREATED, {**CREATED, "id": "two"}]}, 201)
    arguments = [word for one in given for word in ("--set", one)]
    result = await relay_at("channels", "create", "--from-template", "mine", *arguments, stdin=stdin)
    assert (result.code, result.err) == (0, "")
    assert [line.split()[0] for line in result.out.splitlines()] == ["ID", "mine", "two"]
    get, post = api.requests
    assert (get.method, get.path) == ("GET", "/channel-templates/mine")
    assert (post.method, post.path, post.query) == ("POST", "/channels", {"from_template": "mine"})
    return post.body


async def test_parameters_are_sent_in_their_types(api: FakeApi, relay_at: Relay) -> None:
    arguments = [f"url={URL}?a=b", "rate=0.5", "resolved=no", "levels=a,b", "levels=c", 'headers={"A": "1"}']
    assert await request_body(api, relay_at, *arguments, "handle=@jo") == {
        "url": f"{URL}?a=b",
        "rate": 0.5,
        "resolved": False,
        "levels": ["a,b", "c"],
        "headers": {"A": "1"},
        "handle": "@jo",
    }


async def test_channel_fields_are_sent_in_their_types(api: FakeApi, relay_at: Relay) -> None:
    arguments = [
        "enabled=false",
        "severities=critical",
        "tenant-id=acme",
        'rate_limit={"per_second": 1}',
        "color=red",
    ]
    assert await request_body(api, relay_at, *arguments) == {
        "enabled": False,
        "severities": ["critical"],
        "tenant_id": "acme",
        "rate_limit": {"per_second": 1},
        "color": "red",
    }


async def test_secrets_are_read_from_files_and_standard_input(
    api: FakeApi, relay_at: Relay, tmp_path: Path
) -> None:
    (tmp_path / "headers").write_text('{"A": "1"}\n', encoding="utf-8")
    body = await request_body(api, relay_at, "url=-", f"headers=@{tmp_path}/headers", stdin=f"{URL}\n")
    assert body == {"url": URL, "headers": {"A": "1"}}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("url", "--set: must look like NAME=VALUE, not 'url'"),
        ("=x", "--set: must look like NAME=VALUE"),
        ("url=@gone", "--set url: can't read @gone"),
        ("rate=many", "--set rate: must be a number"),
        ("rate=NaN", "--set rate: must be a number"),
        ("rate=true", "--set rate: must be a number"),
        ("resolved=perhaps", "--set resolved: must be true or false"),
        ("headers=[1]", "--set headers: must be a JSON object"),
    ],
)
async def test_an_invalid_value_is_reported_in_one_line(
    api: FakeApi, relay_at: Relay, given: str, message: str
) -> None:
    api.respond(TEMPLATE)
    result = await relay_at("channels", "create", "--from-template", "mine", "--set", given)
    assert (result.code, len(result.err.splitlines())) == (1, 1)
    assert result.err.startswith(f"relay: {message}")
    assert [request.method for request in api.requests] == ["GET"]


async def test_a_repeated_single_value_is_rejected(api: FakeApi, relay_at: Relay) -> None:
    api.respond(TEMPLATE)
    arguments = ["--set", f"url={URL}", "--set", f"url={URL}"]
    result = await relay_at("channels", "create", "--from-template", "mine", *arguments)
    assert (result.code, result.err) == (1, "relay: --set url: is given twice\n")


async def test_values_require_a_template(api: FakeApi, relay_at: Relay) -> None:
    result = await relay_at("channels", "create", "--set", "url=x")
    assert (result.code, result.err) == (1, "relay: --set: requires --from-template\n")
    bare = await relay_at("channels", "create")
    assert (bare.code, "--from-template" in bare.out, "slack" in bare.out) == (0, True, True)
    assert api.requests == []


async def test_the_list_shows_the_parameters_of_each_template(api: FakeApi, relay_at: Relay) -> None:
    api.respond({"items": [TEMPLATE], "next": None})
    result = await relay_at("channel-templates", "list")
    heading, line = result.out.splitlines()
    assert heading.split()[:3] == ["ID", "NAME", "BUILTIN"]
    assert line.split()[:3] == ["mine", "Mine", "no"]
    assert "url, [rate], [resolved], [levels], [headers], [handle]" in line
    api.respond({"items": [TEMPLATE], "next": None})
    assert (await relay_at("channel-templates", "list", "--output", "json")).json == {"items": [TEMPLATE]}


async def test_a_template_is_shown_with_a_line_per_parameter(api: FakeApi, relay_at: Relay) -> None:
    api.respond(TEMPLATE)
    result = await relay_at("channel-templates", "get", "mine")
    lines = result.out.splitlines()
    assert lines[0].split() == ["id", "mine"]
    assert [line.split()[:4] for line in lines if line.startswith(("NAME", "url"))] == [
        ["NAME", "TYPE", "REQUIRED", "SECRET"],
        ["url", "string", "yes", "yes"],
    ]
    api.respond(TEMPLATE)
    assert (await relay_at("channel-templates", "get", "mine", "--output", "json")).json == TEMPLATE


async def test_a_template_is_created_and_updated_from_a_file(
    api: FakeApi, relay_at: Relay, tmp_path: Path
) -> None:
    (tmp_path / "mine.json").write_text(json.dumps(TEMPLATE), encoding="utf-8")
    result = await relay_at("channel-templates", "create", "--file", f"{tmp_path}/mine.json", "--output", "json")
    assert (result.code, result.json) == (0, TEMPLATE)
    result = await relay_at("channel-templates", "update", "mine", "--file", "-", stdin='{"name": "Ours"}')
    assert result.code == 0
    assert [(request.method, request.path) for request in api.requests] == [
        ("POST", "/channel-templates"),
        ("PATCH", "/channel-templates/mine"),
    ]
    assert [request.body for request in api.requests] == [TEMPLATE, {"name": "Ours"}]


@pytest.mark.parametrize(
    ("text", "message"),
    [("{", "must contain JSON"), ("[]", "must contain a JSON object"), ("", "standard input is empty")],
)
async def test_a_file_without_a_template_is_reported_in_one_line(
    api: FakeApi, relay_at: Relay, text: str, message: str
) -> None:
    result = await relay_at("channel-templates", "create", "--file", "-", stdin=text)
    assert result.code == 1
    assert result.err.startswith(f"relay: --file: {message}")
    assert api.requests == []


async def test_delete_prints_a_confirmation(api: FakeApi, relay_at: Relay) -> None:
    result = await relay_at("channel-templates", "delete", "mine")
    assert (result.code, result.out) == (0, "the channel template mine is deleted\n")
    assert (api.requests[0].method, api.requests[0].path) == ("DELETE", "/channel-templates/mine")
