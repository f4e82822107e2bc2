"""Invalid input is rejected with the name of its field, and nothing is stored."""

from io import BytesIO
from typing import Any

from tests.fixtures.relays import ApiResponse, Relay
from tests.fixtures.sink import Sink

SLACK = {"name": "Ops", "channel_type": "slack", "webhook_url": "https://hooks.example.com/x"}
HOOK = SLACK | {"channel_type": "webhook"}


def without(name: str) -> dict[str, Any]:
    return {field: value for field, value in SLACK.items() if field != name}


def rejected(response: ApiResponse, status: int, *fields: str) -> None:
    assert response.status == status, response.body
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.json["status"] == status
    assert response.json["title"]
    assert response.json["detail"]
    assert [error["field"] for error in response.json.get("errors", [])] == list(fields)
    assert all(error["message"] for error in response.json.get("errors", []))
    assert all(response.json["detail"].startswith(f"{field}: ") for field in fields)


CHANNELS: list[tuple[dict[str, Any], str]] = [
    (without("channel_type"), "channel_type"),
    (SLACK | {"channel_type": "pigeon"}, "channel_type"),
    (SLACK | {"channel_type": None}, "channel_type"),
    (SLACK | {"channel_type": ["slack"]}, "channel_type"),
    (without("name"), "name"),
    (SLACK | {"name": " "}, "name"),
    (SLACK | {"name": 1}, "name"),
    (SLACK | {"name": "n" * 201}, "name"),
    (SLACK | {"id": "Not A Slug"}, "id"),
    (SLACK | {"id": "i" * 64}, "id"),
    (SLACK | {"name": "!!!"}, "id"),
    (without("webhook_url"), "webhook_url"),
    (SLACK | {"webhook_url": None}, "webhook_url"),
    (SLACK | {"webhook_url": "hooks.example.com/x"}, "webhook_url"),
    (SLACK | {"webhook_url": "ftp://hooks.example.com/x"}, "webhook_url"),
    (SLACK | {"webhook_url": "https://"}, "webhook_url"),
    (SLACK | {"webhook_url": "https://[::1"}, "webhook_url"),
    (SLACK | {"webhook_url": "http://hooks.example.com/x"}, "webhook_url"),
    (SLACK | {"webhook_url": "https://10.0.0.1/x"}, "webhook_url"),
    (SLACK | {"webhook_url": "https://169.254.169.254/x"}, "webhook_url"),
    (SLACK | {"webhook_url": "https://[::ffff:10.0.0.1]/x"}, "webhook_url"),
    (
        SLACK | {"channel_type": "teams", "webhook_url": "https://x.webhook.office.com/webhookb2/1"},
        "webhook_url",
    ),
    (SLACK | {"color": "red"}, "color"),
    (SLACK | {"discord_username": "x"}, "discord_username"),
    (SLACK | {"enabled": "yes"}, "enabled"),
    (SLACK | {"severities": "critical"}, "severities"),
    (SLACK | {"severities": ["critical", 1]}, "severities[1]"),
    (SLACK | {"severities": ["critical", ""]}, "severities[1]"),
    (SLACK | {"tenant_id": ""}, "tenant_id"),
    (SLACK | {"matchers": ["team"]}, "matchers[0]"),
    (SLACK | {"matchers": ['a="b"', 'team=~"("']}, "matchers[1]"),
    (SLACK | {"slack_channel": "#a\0"}, "slack_channel"),
    (HOOK | {"custom_payload_template": "{{ alerts"}, "custom_payload_template"),
    (HOOK | {"custom_headers": ["X"]}, "custom_headers"),
    (HOOK | {"custom_headers": {"Host": "elsewhere"}}, "custom_headers.Host"),
]


async def test_an_invalid_channel_is_rejected_with_the_field(relay: Relay) -> None:
    for body, field in CHANNELS:
        rejected(await relay.call("POST", "/channels", json=body), 400, field)

    assert await relay.items("/channels") == []


PATCHES: list[tuple[dict[str, Any], str]] = [
    ({"id": "other"}, "id"),
    ({"channel_type": "discord"}, "channel_type"),
    ({"color": "red"}, "color"),
    ({"name": None}, "name"),
    ({"webhook_url": None}, "webhook_url"),
    ({"webhook_url": "https://192.168.0.1/"}, "webhook_url"),
    ({"matchers": ["team=~("]}, "matchers[0]"),
    ({"enabled": 1}, "enabled"),
    ({"slack_channel": "\0"}, "slack_channel"),
]


async def test_an_invalid_patch_leaves_the_channel_unchanged(relay: Relay, sink: Sink) -> None:
    before = await relay.channel(**SLACK | {"webhook_url": sink.url})

    for patch, field in PATCHES:
        rejected(await relay.call("PATCH", "/channels/ops", json=patch), 400, field)

    assert (await relay.call("GET", "/channels/ops")).json == before


TESTS: list[tuple[dict[str, Any], str]] = [
    ({}, "channel_id"),
    ({"channel_id": 1}, "channel_id"),
    ({"channel_id": "a\0"}, "channel_id"),
    ({"channel_id": "ops", "color": "red"}, "color"),
    ({"channel_id": "ops", "severity": ""}, "severity"),
    ({"channel_id": "ops", "message": "m" * 2001}, "message"),
]


async def test_an_invalid_test_request_is_rejected_with_the_field(relay: Relay) -> None:
    for body, field in TESTS:
        rejected(await relay.call("POST", "/test", json=body), 400, field)


async def test_a_body_that_is_not_a_json_object_is_rejected(relay: Relay, sink: Sink) -> None:
    await relay.channel(**SLACK | {"webhook_url": sink.url})

    for method, path in (("POST", "/channels"), ("PATCH", "/channels/ops"), ("POST", "/test")):
        for body in (b"", b"{", b"[]", b"null", b'"x"', b"\xff", b"[" * 100_000, b'{"name": "\\ud800"}'):
            rejected(await relay.call(method, path, data=BytesIO(body)), 400)
        rejected(await relay.call(method, path, data=BytesIO(b" " * (11 * 1024 * 1024))), 413)

    assert [channel["name"] for channel in await relay.items("/channels")] == ["Ops"]


QUERIES: list[tuple[str, str]] = [
    ("/channels?color=red", "color"),
    ("/channels?database=x", "database"),
    ("/channels?limit=0", "limit"),
    ("/channels?limit=501", "limit"),
    ("/channels?limit=many", "limit"),
    ("/channels?limit=1&limit=2", "limit"),
    ("/channels?cursor=", "cursor"),
    ("/channels?cursor=!!!!", "cursor"),
    ("/channels?cursor=AAAA", "cursor"),
    ("/channels/ops?limit=1", "limit"),
    ("/channels/a%00b", "channel_id"),
    ("/history?cursor=b3Bz", "cursor"),
    (f"/history?cursor={'NTU1' * 2000}", "cursor"),
    ("/history?status=broken", "status"),
    ("/history?since=yesterday", "since"),
    ("/history?since=2026-11-23T15:33:27", "since"),
    ("/history?until=9999-12-31T23:59:59-05:00", "until"),
    ("/history?until=0001-01-01T00:00:00%2B05:00", "until"),
    ("/history?alertname=%00", "alertname"),
    ("/history/99999999999999999999", "alert_id"),
    ("/deliveries?state=lost", "state"),
    ("/deliveries?in_state=dead", "in_state"),
    ("/deliveries?group_key=a%00", "group_key"),
    ("/deliveries?since=2026-11-23T15:33:27", "since"),
    ("/deliveries?merged_into=-1", "merged_into"),
    ("/deliveries?merged_into=99999999999999999999", "merged_into"),
    ("/history?delivery_id=x", "delivery_id"),
    ("/deliveries/-99999999999999999999", "delivery_id"),
]


async def test_an_invalid_parameter_is_rejected_with_its_name(relay: Relay) -> None:
    for path, field in QUERIES:
        rejected(await relay.call("GET", path), 400, field)


async def test_not_found_is_a_problem(relay: Relay) -> None:
    for path in ("/nope", "/channels/no", "/history/x", "/history/1", "/history/1.5", "/deliveries/1"):
        rejected(await relay.call("GET", path), 404)


async def test_a_wrong_method_is_a_problem_that_lists_the_allowed_ones(relay: Relay) -> None:
    for method, path in (("PUT", "/channels"), ("POST", "/history"), ("GET", "/webhook")):
        response = await relay.call(method, path)
        rejected(response, 405)
        assert response.headers["Allow"]


async def test_json_that_is_not_utf8_is_rejected(relay: Relay) -> None:
    for path in ("/channels", "/route", "/preview", "/test", "/templates"):
        response = await relay.call("POST", path, data=b'{"name": "\xff\xfe"}')
        assert (response.status, response.headers["Content-Type"]) == (400, "application/problem+json"), path
