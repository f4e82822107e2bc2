"""Channels are created from templates, all or none, with the same validation as posted ones."""

import json
from typing import Any

from relay.domain.templates.built_in import built_in_templates
from tests.api.assertions import rejected
from tests.fixtures.relays import ApiResponse, Relay, alert, webhook
from tests.fixtures.sink import Sink

URL = "https://hooks.example.com/x"
PAIR: dict[str, Any] = {
    "id": "pair",
    "name": "Pair",
    "description": "Two channels.",
    "parameters": [
        {"name": "url", "description": "Where to post."},
        {"name": "tenant", "description": "Whose alerts.", "required": False},
        {"name": "other_tenant", "description": "Whose alerts, of the first.", "required": False},
        {"name": "fallback_name", "required": False, "default": "Fallback"},
    ],
    "channels": [
        {
            "channel_type": "webhook",
            "name": {"$": "fallback_name"},
            "webhook_url": {"$": "url"},
            "tenant_id": {"$": "other_tenant"},
            "severities": ["warning"],
        },
        {
            "channel_type": "webhook",
            "name": "Main",
            "webhook_url": {"$": "url"},
            "tenant_id": {"$": "tenant"},
            "severities": ["critical"],
            "fallback_channel_id": {"$channel": 0},
        },
    ],
}


async def create(relay: Relay, template_id: str, **given: Any) -> ApiResponse:
    return await relay.call("POST", f"/channels?from_template={template_id}", json=given)


async def add(relay: Relay, template: dict[str, Any]) -> dict[str, Any]:
    response = await relay.call("POST", "/channel-templates", json=template)
    assert response.status == 201, response.body
    added: dict[str, Any] = response.json
    return added


async def test_built_in_templates_are_listed_with_their_parameters(relay: Relay) -> None:
    listed = await relay.items("/channel-templates")

    assert [delivery["id"] for delivery in listed] == list(built_in_templates())
    template = await relay.call("GET", "/channel-templates/critical-to-slack")
    assert template.json in listed
    assert template.json["builtin"] is True
    assert template.json["parameters"][0] == {
        "name": "webhook_url",
        "description": "The URL of a Slack incoming webhook.",
        "type": "string",
        "required": True,
        "secret": True,
        "default": None,
    }


async def test_the_list_has_pages(relay: Relay) -> None:
    every = await relay.items("/channel-templates")
    first = (await relay.call("GET", "/channel-templates?limit=2")).json
    second = (await relay.call("GET", f"/channel-templates?limit=500&cursor={first['next']}")).json

    assert [*first["items"], *second["items"]] == every
    assert second["next"] is None


async def test_a_channel_from_a_template_equals_one_that_was_posted(relay: Relay, sink: Sink) -> None:
    response = await create(
        relay, "critical-to-slack", webhook_url=sink.url, slack_channel="#ops", tenant_id="acme"
    )

    assert response.status == 201
    [channel] = response.json["items"]
    assert (channel["id"], channel["severities"]) == ("critical-to-slack", ["critical"])
    assert (channel["slack_channel"], channel["tenant_id"]) == ("#ops", "acme")
    assert channel["webhook_url"] == "********"
    assert (await relay.call("GET", "/channels/critical-to-slack")).json == channel
    response = await relay.webhook(webhook(alert(severity="critical", tenant_id="acme")))
    assert response.json["notifications"] == 1
    await sink.wait_for(1)


async def test_a_template_can_be_used_again_with_another_name(relay: Relay, sink: Sink) -> None:
    for tenant in ("acme", "globex"):
        response = await create(
            relay,
            "tenant-to-teams",
            name=f"All of {tenant}",
            tenant_id=tenant,
            webhook_url=sink.url,
            enabled=False,
        )
        assert response.status == 201, response.body

    created = {
        channel["id"]: (channel["tenant_id"], channel["enabled"]) for channel in await relay.items("/channels")
    }
    assert created == {"all-of-acme": ("acme", False), "all-of-globex": ("globex", False)}


async def test_several_channels_are_created_with_a_fallback_between_them(relay: Relay, sink: Sink) -> None:
    await add(relay, PAIR)

    response = await create(relay, "pair", url=sink.url, fallback_name="Night shift")

    assert response.status == 201
    assert [item["id"] for item in response.json["items"]] == ["night-shift", "main"]
    assert [item["fallback_channel_id"] for item in response.json["items"]] == [None, "night-shift"]
    assert {channel["id"] for channel in await relay.items("/channels")} == {"night-shift", "main"}


async def test_all_channels_are_created_or_none(relay: Relay, sink: Sink) -> None:
    await add(relay, PAIR)
    await relay.channel(id="main", name="Other", channel_type="webhook", webhook_url=sink.url)

    response = await create(relay, "pair", url=sink.url)
    assert (response.status, "'main' is taken" in response.json["detail"]) == (409, True)
    assert [channel["id"] for channel in await relay.items("/channels")] == ["main"]

    await relay.call("DELETE", "/channels/main")
    response = await create(relay, "pair", url=sink.url, tenant="acme", other_tenant="globex")
    rejected(response, "channels[1].fallback_channel_id", "'fallback'", "'globex'", "'acme'")
    assert await relay.items("/channels") == []
    assert (await create(relay, "pair", url=sink.url)).status == 201


async def test_parameters_are_validated_and_errors_name_them(relay: Relay, sink: Sink) -> None:
    await add(relay, PAIR)

    rejected(await create(relay, "pair"), "url", "is missing: Where to post")
    rejected(await create(relay, "pair", url=5), "url", "must be a string")
    rejected(await create(relay, "pair", url="https://10.0.0.1/s3cret"), "url")
    rejected(await create(relay, "pair", url="http://hooks.example.com/x"), "url")
    rejected(await create(relay, "pair", url=sink.url, color="red"), "color", "neither a parameter")
    rejected(await create(relay, "pair", url=sink.url, health={}), "health", "neither a parameter")
    rejected(await create(relay, "pair", url=sink.url, name="Both"), "name", "creates 2 channels")
    rejected(
        await create(relay, "pair", url=sink.url, fallback_channel_id="gone"), "fallback_channel_id", "'gone'"
    )
    rejected(await create(relay, "pair", url=sink.url, custom_payload_template="{{ x"), "custom_payload_template")
    rejected(await create(relay, "gone", url=sink.url), "from_template", "'gone'")
    rejected(await create(relay, "", url=sink.url), "from_template")
    rejected(await create(relay, "a%00", url=sink.url), "from_template", "U+0000")
    assert await relay.items("/channels") == []


async def test_from_template_is_a_parameter_of_creation_only(relay: Relay) -> None:
    rejected(await relay.call("GET", "/channels?from_template=pair"), "from_template", "not a known parameter")
    rejected(await relay.call("POST", "/channels?from_templat=pair", json={}), "from_templat")
    twice = await relay.call("POST", "/channels?from_template=a&from_template=b", json={})
    rejected(twice, "from_template", "more than once")


async def test_a_template_is_created_updated_and_deleted(relay: Relay, sink: Sink) -> None:
    added = await add(relay, {**PAIR, "id": ""})
    assert (added["id"], added["builtin"]) == ("pair", False)
    assert [parameter["secret"] for parameter in added["parameters"]] == [True, False, False, False]
    assert [parameter["type"] for parameter in added["parameters"]] == ["string"] * 4
    assert added in await relay.items("/channel-templates")
    assert (await relay.call("GET", "/channel-templates/pair")).json == added

    changed = await relay.call("PATCH", "/channel-templates/pair", json={"name": "Two", "description": None})
    assert (changed.status, changed.json) == (200, added | {"name": "Two", "description": ""})
    assert (await relay.call("PATCH", "/channel-templates/pair", json=changed.json)).json == changed.json
    only = {"channels": PAIR["channels"][:1], "parameters": [PAIR["parameters"][at] for at in (0, 2, 3)]}
    assert (await relay.call("PATCH", "/channel-templates/pair", json=only)).status == 200
    assert len((await create(relay, "pair", url=sink.url)).json["items"]) == 1

    deleted = await relay.call("DELETE", "/channel-templates/pair")
    assert (deleted.status, deleted.body) == (204, b"")
    for method in ("GET", "DELETE", "PATCH"):
        assert (await relay.call(method, "/channel-templates/pair", json={})).status == 404
    assert [channel["id"] for channel in await relay.items("/channels")] == ["fallback"]


async def test_a_built_in_template_can_be_copied_but_not_changed(relay: Relay) -> None:
    built_in = (await relay.call("GET", "/channel-templates/slack-by-severity")).json

    for method in ("PATCH", "DELETE"):
        response = await relay.call(method, "/channel-templates/slack-by-severity", json={})
        assert (response.status, "is built in" in response.json["detail"]) == (409, True)
    assert (await relay.call("POST", "/channel-templates", json=built_in)).status == 409
    copied = await add(relay, built_in | {"id": "mine"})
    assert copied == built_in | {"id": "mine", "builtin": False}


async def test_an_invalid_template_is_rejected_with_the_field(relay: Relay) -> None:
    await add(relay, PAIR)
    secret = {"channels": [{**PAIR["channels"][0], "webhook_url": "https://hooks.example.com/s3cret"}]}
    for body, field in (
        ({"name": " "}, "name"),
        ({"channels": []}, "channels"),
        ({"color": "red"}, "color"),
        ({"parameters": [{"name": "url", "type": "pigeon"}]}, "parameters[0].type"),
        ({"channels": [{"channel_type": "pigeon"}]}, "channels[0].channel_type"),
        (secret, "channels[0].webhook_url"),
    ):
        response = await relay.call("POST", "/channel-templates", json={**PAIR, "id": "x", **body})
        rejected(response, field)
        rejected(await relay.call("PATCH", "/channel-templates/pair", json=body), field)
        assert b"s3cret" not in response.body
    rejected(await relay.call("PATCH", "/channel-templates/pair", json={"name": None}), "name", "missing")
    rejected(await relay.call("PATCH", "/channel-templates/pair", json={"id": "other"}), "id", "can't be changed")
    again = await relay.call("POST", "/channel-templates", json=PAIR)
    assert (again.status, "'pair' is taken" in again.json["detail"]) == (409, True)


async def test_no_response_contains_a_secret_of_a_template(relay: Relay, sink: Sink) -> None:
    await add(relay, PAIR)
    good = f"{sink.url}/s3cret"
    urls = [good, good, "http://10.0.0.1/s3cret", "nonsense-s3cret", ["s3cret"]]
    responses = [await create(relay, "pair", url=url) for url in urls]

    assert [response.status for response in responses] == [201, 409, 400, 400, 400]
    assert "s3cret" not in "".join(response.body.decode() for response in responses)
    assert "s3cret" not in json.dumps(await relay.items("/channels"))


async def test_deep_nesting_is_rejected(relay: Relay) -> None:
    await add(relay, PAIR)
    for depth in (100, 500, 900, 1500):
        nested = '{"a": ' * depth + '{"$": "url"}' + "}" * depth
        body = {**PAIR, "id": "x", "channels": [{**PAIR["channels"][0], "custom_headers": "nested"}]}
        text = json.dumps(body).replace('"nested"', nested)
        assert (await relay.call("POST", "/channel-templates", data=text.encode())).status == 400
        for given in (f'{{"url": {nested}}}', f'{{"url": "{URL}", "custom_headers": {nested}}}'):
            response = await relay.call("POST", "/channels?from_template=pair", data=given.encode())
            assert response.status == 400
