"""Can message templates be made, changed and brought back, and is what can't work refused at once?"""

from typing import Any

import pytest

from tests.fixtures.relays import ApiResponse, Relay

OURS = {"name": "Ours", "title": "{{ status }}", "alert": "{{ alert.labels.instance | bold }}"}


async def add(relay: Relay, **fields: Any) -> dict[str, Any]:
    answer = await relay.call("POST", "/templates", json=OURS | fields)
    assert answer.status == 201, answer.body
    added: dict[str, Any] = answer.json
    return added


def refused(answer: ApiResponse, field: str, *words: str) -> None:
    assert answer.status == 400, answer.body
    assert [error["field"] for error in answer.json["errors"]] == [field]
    assert all(word in answer.json["detail"] for word in words), answer.json["detail"]


async def test_a_template_is_created_updated_and_deleted(relay: Relay) -> None:
    added = await add(relay)
    assert added == OURS | {
        "id": "ours",
        "description": "",
        "body": None,
        "version": 1,
        "updated_at": added["updated_at"],
    }
    changed = (await relay.call("PATCH", "/templates/ours", json={"title": None, "body": "x"})).json
    assert (changed["title"], changed["body"], changed["alert"], changed["version"]) == (
        None,
        "x",
        OURS["alert"],
        2,
    )
    assert (await relay.call("GET", "/templates/ours")).json == changed
    assert (await relay.call("PATCH", "/templates/ours", json=changed)).json["version"] == 3
    assert (await relay.call("DELETE", "/templates/ours")).status == 204
    for path in ("/templates/ours", "/templates/ours/versions", "/templates/ours/versions/1"):
        assert (await relay.call("GET", path)).status == 404


async def test_versions_can_be_read_and_restored(relay: Relay) -> None:
    await add(relay)
    for number in range(2, 5):
        await relay.call("PATCH", "/templates/ours", json={"title": f"no. {number}"})

    first = (await relay.call("GET", "/templates/ours/versions?limit=3")).json
    then = (await relay.call("GET", f"/templates/ours/versions?cursor={first['next']}")).json
    assert [one["version"] for one in first["items"] + then["items"]] == [4, 3, 2, 1]
    assert (await relay.call("GET", "/templates/ours/versions/1")).json == then["items"][0]
    assert then["items"][0]["title"] == OURS["title"]

    back = await relay.call("POST", "/templates/ours/versions/1/restore")
    assert (back.status, back.json["title"], back.json["version"]) == (200, OURS["title"], 5)
    assert (await relay.call("POST", "/templates/ours/versions/9/restore")).status == 404


async def test_the_list_has_pages(relay: Relay) -> None:
    for number in range(5):
        await add(relay, name=f"T{number}")
    every = await relay.items("/templates")
    first = (await relay.call("GET", "/templates?limit=2")).json
    then = (await relay.call("GET", f"/templates?limit=500&cursor={first['next']}")).json
    assert [one["id"] for one in every] == [f"t{number}" for number in range(5)]
    assert [*first["items"], *then["items"]] == every


@pytest.mark.parametrize(
    ("field", "text", "words"),
    [
        ("title", "{{", ("line 1",)),
        ("body", "one\n{% if %}", ("line 2",)),
        ("alert", "one\ntwo\n{{ x | no_such }}", ("line 3", "no_such")),
        ("alert", "{% for a in b %}" * 25 + "{% endfor %}" * 25, ("nested too deeply",)),
        ("body", "{% autoescape 'x' | center(300000000) %}{% endautoescape %}", ("line 1", "autoescape")),
    ],
)
async def test_a_syntax_error_is_rejected_with_its_line(
    field: str, text: str, words: tuple[str, ...], relay: Relay
) -> None:
    refused(await relay.call("POST", "/templates", json=OURS | {field: text}), field, *words)
    await add(relay)
    refused(await relay.call("PATCH", "/templates/ours", json={field: text}), field, *words)


async def test_an_empty_template_is_rejected(relay: Relay) -> None:
    answer = await relay.call("POST", "/templates", json={"name": "Nothing"})
    assert answer.status == 400
    assert "at least one of title, body, alert" in answer.json["detail"]
    assert (await relay.call("POST", "/templates", json=OURS | {"footer": "x"})).status == 400


async def test_a_template_in_use_exists_and_can_not_be_deleted(relay: Relay) -> None:
    ops = {"channel_type": "webhook", "name": "Ops", "webhook_url": "http://127.0.0.1:9/"}
    refused(await relay.call("POST", "/channels", json=ops | {"template": "ours"}), "template", "'ours'")
    await add(relay)
    assert (await relay.channel(**ops, template="ours"))["template"] == "ours"
    refused(await relay.call("PATCH", "/channels/ops", json={"template": "other"}), "template", "'other'")

    held = await relay.call("DELETE", "/templates/ours")
    assert held.status == 409
    assert "'ops'" in held.json["detail"]
    assert (await relay.call("PATCH", "/channels/ops", json={"template": None})).json["template"] is None
    assert (await relay.call("DELETE", "/templates/ours")).status == 204


async def test_ids_are_unique_and_can_not_be_changed(relay: Relay) -> None:
    await add(relay)
    assert (await relay.call("POST", "/templates", json=OURS)).status == 409
    refused(await relay.call("PATCH", "/templates/ours", json={"id": "other"}), "id")
