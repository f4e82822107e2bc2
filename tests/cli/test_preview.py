"""`relay channels preview` shows the requests in readable form."""

import json
from pathlib import Path
from typing import Any

import pytest

from .conftest import FakeApi, Relay

GROUP = {"alerts": [{"status": "firing", "labels": {"alertname": "Down"}, "startsAt": "2026-11-23T15:33:27Z"}]}
HTTP = {
    "kind": "http",
    "method": "POST",
    "url": "********",
    "headers": {"Content-Type": "application/json"},
    "body": '{"text":"a\\u001b[2Jb 🔥","n":1}',
    "encoding": "utf-8",
}
RESULT = {
    "channel_id": "ops",
    "channel_type": "slack",
    "requests": [HTTP],
    "alerts": 1,
    "unmatched": [{"labels": {"alertname": "Slow"}, "reason": "severities: wants critical"}],
    "notes": ["nothing else"],
}


def preview_result(*requests: dict[str, Any]) -> dict[str, Any]:
    return RESULT | {"requests": list(requests)}


async def test_a_channel_is_previewed_with_a_sample(api: FakeApi, relay_at: Relay) -> None:
    api.respond(RESULT)
    result = await relay_at("channels", "preview", "ops", "--sample", "large")

    assert (result.code, result.err) == (0, "")
    assert (api.requests[0].method, api.requests[0].path) == ("POST", "/preview")
    assert api.body == {"channel_id": "ops", "sample": "large"}
    assert result.out.splitlines() == [
        "POST ********",
        "Content-Type: application/json",
        "",
        "{",
        '  "text": "a\\u001b[2Jb 🔥",',
        '  "n": 1',
        "}",
        "",
        "alerts: 1",
        "not matched: alertname=Slow: severities: wants critical",
        "note: nothing else",
    ]


async def test_a_change_and_a_group_are_read_from_files(api: FakeApi, relay_at: Relay, tmp_path: Path) -> None:
    (tmp_path / "group.json").write_text(json.dumps(GROUP), encoding="utf-8")
    result = await relay_at(
        *("channels", "preview", "ops", "--file", "-", "--group", f"{tmp_path}/group.json", "--output", "json"),
        stdin='{"slack_channel": "#db"}',
    )

    assert result.code == 0
    assert api.body == result.json == {"channel_id": "ops", "channel": {"slack_channel": "#db"}, "group": GROUP}


async def test_an_unsaved_channel_is_previewed_with_a_delivery(api: FakeApi, relay_at: Relay) -> None:
    api.respond(RESULT)
    await relay_at("channels", "preview", "--file", "-", "--delivery-id", "17", stdin='{"channel_type": "slack"}')

    assert api.body == {"channel": {"channel_type": "slack"}, "delivery_id": 17}


async def test_several_requests_are_numbered(api: FakeApi, relay_at: Relay) -> None:
    api.respond(preview_result(HTTP, HTTP))
    result = await relay_at("channels", "preview", "ops")

    assert [line for line in result.out.splitlines() if line.startswith("---")] == ["--- 1 of 2", "--- 2 of 2"]


async def test_a_form_is_shown_field_by_field(api: FakeApi, relay_at: Relay) -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
    api.respond(preview_result(HTTP | {"headers": form, "body": "To=%2B15005550001&Body=FIRING%3A1"}))
    result = await relay_at("channels", "preview", "phone")

    assert "\nTo: +15005550001\nBody: FIRING:1\n" in result.out


async def test_a_mail_is_shown_decoded(api: FakeApi, relay_at: Relay) -> None:
    body = (
        "From: relay@example.com\r\nSubject: =?utf-8?b?8J+UpQ==?= Down\r\nMIME-Version: 1.0\r\n"
        'Content-Type: text/plain; charset="utf-8"\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n'
        "d=C3=A9j=C3=A0\r\n"
    )
    mail = {"kind": "mail", "url": "smtp://mail:587", "sender": "relay@example.com", "recipients": ["a@b.c"]}
    api.respond(preview_result(mail | {"body": body, "encoding": "utf-8"}))
    result = await relay_at("channels", "preview", "mail")

    assert result.out.startswith("MAIL smtp://mail:587\nMAIL FROM: relay@example.com\nRCPT TO: a@b.c\n\n")
    assert "Subject: 🔥 Down\n" in result.out
    assert "\ndéjà\n" in result.out


async def test_an_apprise_notification_is_shown_with_its_title(api: FakeApi, relay_at: Relay) -> None:
    api.respond(
        preview_result(
            {"kind": "apprise", "url": "********", "title": "Down", "body": "a\nb", "notify_type": "failure"}
        )
    )
    result = await relay_at("channels", "preview", "phone")

    assert result.out.startswith("APPRISE ********\nfailure: Down\n\na\nb\n\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give the id of a channel, or a channel with --file"),
        (["ops", "--group", "gone.json"], "--group: can't read @gone.json: No such file or directory"),
        (["--file", "-"], "--file: standard input is empty"),
    ],
)
async def test_an_invalid_request_is_reported_in_one_line(
    api: FakeApi, relay_at: Relay, arguments: list[str], message: str
) -> None:
    result = await relay_at("channels", "preview", *arguments)

    assert (result.code, result.err) == (1, f"relay: {message}\n")
    assert api.requests == []
