"""Do the commands of channel templates send what was asked for, and show what came back?"""

import json
from pathlib import Path
from typing import Any

import pytest

from .conftest import FakeApi, Relay

URL = "http://127.0.0.1:9/hook"


def asked(name: str, **more: Any) -> dict[str, Any]:
    plain = {"description": f"The {name}.", "type": "string", "required": True, "secret": False, "default": None}
    return {"name": name, **plain, **more}


TEMPLATE: dict[str, Any] = {
    "id": "mine",
    "name": "Mine",
    "description": "What I like.",
    "builtin": False,
    "parameters": [
        asked("url", secret=True),
        asked("rate", type="number", required=False),
        asked("resolved", type="boolean", required=False, default=True),
        asked("levels", type="list", required=False),
        asked("headers", type="object", required=False, secret=True),
        asked("handle", required=False),
    ],
    "channels": [{"channel_type": "slack", "name": "Mine", "webhook_url": {"$": "url"}}],
}
MADE = {"id": "mine", "name": "Mine", "channel_type": "slack", "enabled": True, "health": {"state": "healthy"}}


async def made_of(api: FakeApi, relay_at: Relay, *given: str, stdin: str = "") -> Any:
    """What `channels create --from-template mine` sends for these `--set`."""
    api.answer(TEMPLATE)
    api.answer({"items": [MADE, {**MADE, "id": "two"}]}, 201)
    words = [word for one in given for word in ("--set", one)]
    ran = await relay_at("channels", "create", "--from-template", "mine", *words, stdin=stdin)
    assert (ran.code, ran.err) == (0, "")
    assert [line.split()[0] for line in ran.out.splitlines()] == ["ID", "mine", "two"]
    read, sent = api.seen
    assert (read.method, read.path) == ("GET", "/channel-templates/mine")
    assert (sent.method, sent.path, sent.query) == ("POST", "/channels", {"from_template": "mine"})
    return sent.body


async def test_parameters_are_sent_as_the_template_wants_them(api: FakeApi, relay_at: Relay) -> None:
    words = [f"url={URL}?a=b", "rate=0.5", "resolved=no", "levels=a,b", "levels=c", 'headers={"A": "1"}']
    assert await made_of(api, relay_at, *words, "handle=@jo") == {
        "url": f"{URL}?a=b",
        "rate": 0.5,
        "resolved": False,
        "levels": ["a,b", "c"],
        "headers": {"A": "1"},
        "handle": "@jo",
    }


async def test_fields_of_channels_are_sent_as_they_are(api: FakeApi, relay_at: Relay) -> None:
    words = [
        "enabled=false",
        "severities=critical",
        "tenant-id=acme",
        'rate_limit={"per_second": 1}',
        "colour=red",
    ]
    assert await made_of(api, relay_at, *words) == {
        "enabled": False,
        "severities": ["critical"],
        "tenant_id": "acme",
        "rate_limit": {"per_second": 1},
        "colour": "red",
    }


async def test_secrets_are_read_from_files_and_standard_input(
    api: FakeApi, relay_at: Relay, tmp_path: Path
) -> None:
    (tmp_path / "headers").write_text('{"A": "1"}\n', encoding="utf-8")
    body = await made_of(api, relay_at, "url=-", f"headers=@{tmp_path}/headers", stdin=f"{URL}\n")
    assert body == {"url": URL, "headers": {"A": "1"}}


@pytest.mark.parametrize(
    ("given", "complaint"),
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
async def test_what_is_no_value_is_told_in_one_line(
    api: FakeApi, relay_at: Relay, given: str, complaint: str
) -> None:
    api.answer(TEMPLATE)
    ran = await relay_at("channels", "create", "--from-template", "mine", "--set", given)
    assert (ran.code, len(ran.err.splitlines())) == (1, 1)
    assert ran.err.startswith(f"relay: {complaint}")
    assert [seen.method for seen in api.seen] == ["GET"]


async def test_one_value_is_given_once(api: FakeApi, relay_at: Relay) -> None:
    api.answer(TEMPLATE)
    words = ["--set", f"url={URL}", "--set", f"url={URL}"]
    ran = await relay_at("channels", "create", "--from-template", "mine", *words)
    assert (ran.code, ran.err) == (1, "relay: --set url: is given twice\n")


async def test_values_want_a_template(api: FakeApi, relay_at: Relay) -> None:
    ran = await relay_at("channels", "create", "--set", "url=x")
    assert (ran.code, ran.err) == (1, "relay: --set: requires --from-template\n")
    bare = await relay_at("channels", "create")
    assert (bare.code, "--from-template" in bare.out, "slack" in bare.out) == (0, True, True)
    assert api.seen == []


async def test_a_list_says_what_each_asks_for(api: FakeApi, relay_at: Relay) -> None:
    api.answer({"items": [TEMPLATE], "next": None})
    ran = await relay_at("channel-templates", "list")
    heading, line = ran.out.splitlines()
    assert heading.split()[:3] == ["ID", "NAME", "BUILTIN"]
    assert line.split()[:3] == ["mine", "Mine", "no"]
    assert "url, [rate], [resolved], [levels], [headers], [handle]" in line
    api.answer({"items": [TEMPLATE], "next": None})
    assert (await relay_at("channel-templates", "list", "--output", "json")).json == {"items": [TEMPLATE]}


async def test_one_template_is_shown_with_a_line_for_each_parameter(api: FakeApi, relay_at: Relay) -> None:
    api.answer(TEMPLATE)
    ran = await relay_at("channel-templates", "get", "mine")
    lines = ran.out.splitlines()
    assert lines[0].split() == ["id", "mine"]
    assert [line.split()[:4] for line in lines if line.startswith(("NAME", "url"))] == [
        ["NAME", "TYPE", "REQUIRED", "SECRET"],
        ["url", "string", "yes", "yes"],
    ]
    api.answer(TEMPLATE)
    assert (await relay_at("channel-templates", "get", "mine", "--output", "json")).json == TEMPLATE


async def test_a_template_is_added_and_changed_from_a_file(api: FakeApi, relay_at: Relay, tmp_path: Path) -> None:
    (tmp_path / "mine.json").write_text(json.dumps(TEMPLATE), encoding="utf-8")
    ran = await relay_at("channel-templates", "create", "--file", f"{tmp_path}/mine.json", "--output", "json")
    assert (ran.code, ran.json) == (0, TEMPLATE)
    ran = await relay_at("channel-templates", "update", "mine", "--file", "-", stdin='{"name": "Ours"}')
    assert ran.code == 0
    assert [(seen.method, seen.path) for seen in api.seen] == [
        ("POST", "/channel-templates"),
        ("PATCH", "/channel-templates/mine"),
    ]
    assert [seen.body for seen in api.seen] == [TEMPLATE, {"name": "Ours"}]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [("{", "must contain JSON"), ("[]", "must contain a JSON object"), ("", "standard input is empty")],
)
async def test_a_file_that_holds_no_template_is_told_in_one_line(
    api: FakeApi, relay_at: Relay, text: str, complaint: str
) -> None:
    ran = await relay_at("channel-templates", "create", "--file", "-", stdin=text)
    assert ran.code == 1
    assert ran.err.startswith(f"relay: --file: {complaint}")
    assert api.seen == []


async def test_deleting_says_so(api: FakeApi, relay_at: Relay) -> None:
    ran = await relay_at("channel-templates", "delete", "mine")
    assert (ran.code, ran.out) == (0, "the channel template mine is deleted\n")
    assert (api.seen[0].method, api.seen[0].path) == ("DELETE", "/channel-templates/mine")
