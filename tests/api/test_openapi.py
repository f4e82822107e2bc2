"""The OpenAPI document describes the API."""

import re
from typing import Any

import msgspec
import pytest
from litestar.routes import HTTPRoute

from relay.app import BASE_PATH, create_application
from relay.domain.alertmanager import decode_webhook
from relay.domain.channel_types import CHANNEL_CLASSES, channel_types
from tests.fixtures.relays import Relay
from tests.fixtures.sampling import representatives

BODY = ("requestBody", "content", "application/json", "schema")


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    """The document of the application; generating it takes most of the time of a test."""
    content = msgspec.json.encode(create_application().openapi_schema.to_schema())
    decoded: dict[str, Any] = msgspec.json.decode(content)
    return decoded


def at(value: Any, *path: str) -> Any:
    for name in path:
        value = value[name]
    return value


def resolve(document: dict[str, Any], reference: dict[str, str]) -> dict[str, Any]:
    schema: dict[str, Any] = at(document, *reference["$ref"].removeprefix("#/").split("/"))
    return schema


async def test_the_document_is_served_without_a_key(relay: Relay, document: dict[str, Any]) -> None:
    response = await relay.call("GET", "schema/openapi.json", key=None)

    assert (response.status, response.json) == (200, document)


def test_every_route_is_documented(document: dict[str, Any]) -> None:
    routes = [route for route in create_application().routes if isinstance(route, HTTPRoute)]
    paths = {re.sub(r":\w+\}", "}", route.path) for route in routes if not route.path.startswith("/schema")}
    assert set(document["paths"]) == paths
    assert f"{BASE_PATH}/webhook" in paths


def test_a_new_channel_is_described_as_one_of_all_types(document: dict[str, Any]) -> None:
    union, parameters = at(document, "paths", f"{BASE_PATH}/channels", "post", *BODY, "anyOf")
    assert (parameters["type"], parameters["title"]) == ("object", "TemplateParameters")
    schemas = [resolve(document, reference) for reference in union["oneOf"]]

    assert [schema["properties"]["channel_type"]["const"] for schema in schemas] == channel_types()
    for channel_class, schema in zip(CHANNEL_CLASSES, schemas, strict=True):
        assert set(schema["properties"]) == {*channel_class.__struct_fields__, "channel_type"}
        required = {field.name for field in msgspec.structs.fields(channel_class) if field.required}
        assert {"channel_type", "name"} <= {"channel_type", *required} == set(schema["required"])


def test_a_patch_is_described_as_any_fields_of_any_type(document: dict[str, Any]) -> None:
    schema = resolve(document, at(document, "paths", BASE_PATH + "/channels/{channel_id}", "patch", *BODY))

    assert set(schema["properties"]) == {
        name for channel_class in CHANNEL_CLASSES for name in channel_class.__struct_fields__
    }
    assert schema.get("required", []) == []


def test_a_response_is_described_with_its_read_only_fields(document: dict[str, Any]) -> None:
    response, created = at(
        document, "paths", f"{BASE_PATH}/channels", "post", "responses", "201", *BODY[1:], "oneOf"
    )
    assert resolve(document, created)["properties"]["items"]["items"] == response
    for channel_class, reference in zip(CHANNEL_CLASSES, response["oneOf"], strict=True):
        properties = resolve(document, reference)["properties"]
        assert set(properties) == {
            *channel_class.__struct_fields__,
            *("channel_type", "disabled_reason", "health", "version"),
        }
        assert "success_rate_1h" in resolve(document, properties["health"])["properties"]


def test_routes_that_require_a_key_are_marked(document: dict[str, Any]) -> None:
    for path, operations in document["paths"].items():
        for operation in operations.values():
            guarded = path.startswith(BASE_PATH)
            assert bool(operation.get("security")) == guarded
            assert ({} in operation.get("security", [])) == path.endswith("/webhook")
            assert "400" in operation["responses"] or not guarded
    assert document["components"]["securitySchemes"]["key"] == {"type": "http", "scheme": "bearer"}


async def test_the_page_needs_no_other_server(relay: Relay) -> None:
    page = await relay.call("GET", "schema", key=None)
    assert page.status == 200
    assert "default-src 'none'; script-src 'self';" in page.headers["Content-Security-Policy"]
    assert b"://" not in page.body
    used = re.findall(r'(?:src|href)="/(schema/[^"]+)"', page.body.decode())
    assert len(used) == 4
    for path in used:
        file = await relay.call("GET", path, key=None)
        assert (file.status, bool(file.body)) == (200, True)
        assert file.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("name", representatives(["swagger-editor.js", "..%2f__init__.py", "nothing"], keep=2))
async def test_no_other_file_is_served(relay: Relay, name: str) -> None:
    assert (await relay.call("GET", f"schema/assets/{name}", key=None)).status == 404


def test_every_operation_names_its_problems(document: dict[str, Any]) -> None:
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            problems = {int(status) for status in operation["responses"] if status >= "400"}
            assert 503 in problems
            assert ({401, 403, 429} <= problems) is bool(operation.get("security"))
            assert ("{" not in path) or 404 in problems
            assert {413, 415} & problems == ({413, 415} if "requestBody" in operation else set())
            tries_only = path.endswith(("/webhook", "/test", "/route", "/preview"))
            assert ({409, 412} <= problems) is (method != "get" and not tries_only)
            for status in problems - ({503} if path == "/-/ready" else set()):
                content = operation["responses"][str(status)]["content"]
                assert content == {
                    "application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}
                }


@pytest.mark.parametrize("path", ["/test", "/preview"])
async def test_an_object_that_the_body_names_may_be_missing(
    relay: Relay, document: dict[str, Any], path: str
) -> None:
    assert "404" in document["paths"][BASE_PATH + path]["post"]["responses"]
    assert (await relay.call("POST", path, json={"channel_id": "nobody"})).status == 404


async def test_a_body_that_is_not_plain_json_is_refused_with_what_to_send(
    relay: Relay, document: dict[str, Any]
) -> None:
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            if "requestBody" not in operation or path.endswith("/webhook"):
                continue
            for name, value, instead in (
                ("Content-Encoding", "gzip", ("Accept-Encoding", "identity")),
                ("Content-Type", "application/xml; charset=utf-8", ("Accept", "application/json")),
            ):
                target = re.sub(r"\{\w+\}", "1", path).removeprefix(BASE_PATH)
                response = await relay.call(method.upper(), target, data=b"{}", headers={name: value})
                assert (response.status, response.headers[instead[0]]) == (415, instead[1])
                assert value.partition(";")[0] in response.json["detail"]


@pytest.mark.parametrize(
    "media_type",
    representatives(
        ["application/json", "", "Application/JSON; charset=utf-8", "application/merge-patch+json", "text/plain"],
        keep=2,
    ),
)
async def test_a_body_of_json_or_of_no_particular_type_is_read(relay: Relay, media_type: str) -> None:
    headers = {"Content-Type": media_type}
    response = await relay.call("POST", "/route", data=b'{"labels": {"alertname": "A"}}', headers=headers)
    assert response.status == 200


async def test_options_name_all_methods_of_the_path(relay: Relay, document: dict[str, Any]) -> None:
    for path, operations in document["paths"].items():
        response = await relay.call("OPTIONS", re.sub(r"\{\w+\}", "1", path).removeprefix("/"))
        named = set(response.headers["Allow"].lower().split(", "))
        assert (response.status, named) == (204, {*operations, "options"})


def test_the_body_of_the_webhook_is_described_with_a_valid_example(document: dict[str, Any]) -> None:
    content = document["paths"][f"{BASE_PATH}/webhook"]["post"]["requestBody"]["content"]["application/json"]
    fields = content["schema"]["properties"]
    assert {"groupKey", "status", "receiver", "externalURL", "truncatedAlerts"} <= set(fields)
    assert {"labels", "annotations", "startsAt", "endsAt", "generatorURL"} <= set(
        fields["alerts"]["items"]["properties"]
    )
    [alert] = decode_webhook(msgspec.json.encode(content["examples"]["firing"]["value"])).alerts
    assert alert.name == "DiskFull"
