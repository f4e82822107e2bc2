"""Message templates: create, update, restore, and validation."""

from typing import Any

import pytest

from tests.api.assertions import rejected
from tests.fixtures.relays import Relay
from tests.fixtures.sampling import representatives

OURS = {"name": "Ours", "title": "{{ status }}", "alert": "{{ alert.labels.instance | bold }}"}


async def add(relay: Relay, **fields: Any) -> dict[str, Any]:
    response = await relay.call("POST", "/templates", json=OURS | fields)
    assert response.status == 201, response.body
    added: dict[str, Any] = response.json
    return added


async def test_a_template_is_created_updated_and_deleted(relay: Relay) -> None:
    added = await add(relay)
    assert added == OURS | {
        "id": "ours",
        "tenant_id": None,
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
    assert (await relay.call("PATCH", "/templates/ours", json=changed)).json["version"] == 2
    assert (await relay.call("PATCH", "/templates/ours", json=changed | {"body": "y"})).json["version"] == 3
    assert (await relay.call("DELETE", "/templates/ours")).status == 204
    for path in ("/templates/ours", "/templates/ours/versions", "/templates/ours/versions/1"):
        assert (await relay.call("GET", path)).status == 404


async def test_versions_can_be_read_and_restored(relay: Relay) -> None:
    await add(relay)
    for number in range(2, 5):
        await relay.call("PATCH", "/templates/ours", json={"title": f"no. {number}"})

    first = (await relay.call("GET", "/templates/ours/versions?limit=3")).json
    second = (await relay.call("GET", f"/templates/ours/versions?cursor={first['next']}")).json
    assert [item["version"] for item in first["items"] + second["items"]] == [4, 3, 2, 1]
    assert (await relay.call("GET", "/templates/ours/versions/1")).json == second["items"][0]
    assert second["items"][0]["title"] == OURS["title"]

    restored = await relay.call("POST", "/templates/ours/versions/1/restore")
    assert (restored.status, restored.json["title"], restored.json["version"]) == (200, OURS["title"], 5)
    assert (await relay.call("POST", "/templates/ours/versions/9/restore")).status == 404


async def test_the_list_has_pages(relay: Relay) -> None:
    for number in range(5):
        await add(relay, name=f"T{number}")
    every = await relay.items("/templates")
    first = (await relay.call("GET", "/templates?limit=2")).json
    second = (await relay.call("GET", f"/templates?limit=500&cursor={first['next']}")).json
    assert [one["id"] for one in every] == [f"t{number}" for number in range(5)]
    assert [*first["items"], *second["items"]] == every


@pytest.mark.parametrize(
    ("field", "text", "texts"),
    representatives(
        [
            ("title", "{{", ("line 1",)),
            ("body", "one\n{% if %}", ("line 2",)),
            ("alert", "one\ntwo\n{{ x | no_such }}", ("line 3", "no_such")),
            ("alert", "{% for a in b %}" * 25 + "{% endfor %}" * 25, ("nested too deeply",)),
            ("body", "{% autoescape 'x' | center(300000000) %}{% endautoescape %}", ("line 1", "autoescape")),
        ],
        keep=3,
    ),
)
async def test_a_syntax_error_is_rejected_with_its_line(
    field: str, text: str, texts: tuple[str, ...], relay: Relay
) -> None:
    rejected(await relay.call("POST", "/templates", json=OURS | {field: text}), field, *texts)
    await add(relay)
    rejected(await relay.call("PATCH", "/templates/ours", json={field: text}), field, *texts)


async def test_an_empty_template_is_rejected(relay: Relay) -> None:
    response = await relay.call("POST", "/templates", json={"name": "Nothing"})
    assert response.status == 400
    assert "at least one of title, body, alert" in response.json["detail"]
    assert (await relay.call("POST", "/templates", json=OURS | {"footer": "x"})).status == 400


async def test_a_template_in_use_exists_and_can_not_be_deleted(relay: Relay) -> None:
    ops = {"channel_type": "webhook", "name": "Ops", "webhook_url": "http://127.0.0.1:9/"}
    rejected(await relay.call("POST", "/channels", json=ops | {"template": "ours"}), "template", "'ours'")
    await add(relay)
    assert (await relay.channel(**ops, template="ours"))["template"] == "ours"
    rejected(await relay.call("PATCH", "/channels/ops", json={"template": "other"}), "template", "'other'")

    response = await relay.call("DELETE", "/templates/ours")
    assert response.status == 409
    assert "'ops'" in response.json["detail"]
    assert (await relay.call("PATCH", "/channels/ops", json={"template": None})).json["template"] is None
    assert (await relay.call("DELETE", "/templates/ours")).status == 204


async def test_ids_are_unique_and_can_not_be_changed(relay: Relay) -> None:
    await add(relay)
    assert (await relay.call("POST", "/templates", json=OURS)).status == 409
    rejected(await relay.call("PATCH", "/templates/ours", json={"id": "other"}), "id")
