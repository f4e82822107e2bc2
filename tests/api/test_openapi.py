"""Does the OpenAPI document show the API as it is?"""

import re
from typing import Any

import msgspec
from litestar.routes import HTTPRoute

from relay.app import BASE_PATH, create_application
from relay.domain.channel_types import CHANNEL_CLASSES, channel_types
from tests.fixtures.relays import Relay

BODY = ("requestBody", "content", "application/json", "schema")


async def document(relay: Relay) -> dict[str, Any]:
    answer = await relay.call("GET", "schema/openapi.json", key=None)
    assert answer.status == 200
    shown: dict[str, Any] = answer.json
    return shown


def at(value: Any, *path: str) -> Any:
    for name in path:
        value = value[name]
    return value


def named(shown: dict[str, Any], reference: dict[str, str]) -> dict[str, Any]:
    schema: dict[str, Any] = at(shown, *reference["$ref"].removeprefix("#/").split("/"))
    return schema


async def test_every_route_is_documented(relay: Relay) -> None:
    shown = await document(relay)

    routes = [route for route in create_application(relay.services).routes if isinstance(route, HTTPRoute)]
    paths = {re.sub(r":\w+\}", "}", route.path) for route in routes if not route.path.startswith("/schema")}
    assert set(shown["paths"]) == paths
    assert f"{BASE_PATH}/webhook" in paths


async def test_a_new_channel_is_described_as_one_of_all_types(relay: Relay) -> None:
    shown = await document(relay)

    union, parameters = at(shown, "paths", f"{BASE_PATH}/channels", "post", *BODY, "anyOf")
    assert (parameters["type"], parameters["title"]) == ("object", "TemplateParameters")
    schemas = [named(shown, reference) for reference in union["oneOf"]]

    assert [schema["properties"]["channel_type"]["const"] for schema in schemas] == channel_types()
    for channel_class, schema in zip(CHANNEL_CLASSES, schemas, strict=True):
        assert set(schema["properties"]) == {*channel_class.__struct_fields__, "channel_type"}
        required = {field.name for field in msgspec.structs.fields(channel_class) if field.required}
        assert {"channel_type", "name"} <= {"channel_type", *required} == set(schema["required"])


async def test_a_patch_is_described_as_any_fields_of_any_type(relay: Relay) -> None:
    shown = await document(relay)

    schema = named(shown, at(shown, "paths", BASE_PATH + "/channels/{channel_id}", "patch", *BODY))

    assert set(schema["properties"]) == {name for kind in CHANNEL_CLASSES for name in kind.__struct_fields__}
    assert schema.get("required", []) == []


async def test_a_response_is_described_with_its_read_only_fields(relay: Relay) -> None:
    shown = await document(relay)

    answer, made = at(shown, "paths", f"{BASE_PATH}/channels", "post", "responses", "201", *BODY[1:], "oneOf")
    assert named(shown, made)["properties"]["items"]["items"] == answer
    for channel_class, reference in zip(CHANNEL_CLASSES, answer["oneOf"], strict=True):
        properties = named(shown, reference)["properties"]
        assert set(properties) == {
            *channel_class.__struct_fields__,
            *("channel_type", "disabled_reason", "health"),
        }
        assert "success_rate_1h" in named(shown, properties["health"])["properties"]


async def test_routes_that_require_a_key_are_marked(relay: Relay) -> None:
    shown = await document(relay)

    for path, operations in shown["paths"].items():
        for operation in operations.values():
            guarded = path.startswith(BASE_PATH) and not path.endswith("/webhook")
            assert bool(operation.get("security")) == guarded
            assert "400" in operation["responses"] or not guarded
    assert shown["components"]["securitySchemes"]["key"] == {"type": "http", "scheme": "bearer"}
