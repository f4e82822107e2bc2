"""No request causes an internal error."""

import itertools
import json
from io import BytesIO
from typing import Any

from tests.fixtures.relays import Relay
from tests.fixtures.sink import Sink

VALUES: list[Any] = [
    *(None, True, 0, -1, 2**63, 10**400, 1.5, "", " ", "\0", "\U0001f525" * 70, "x" * 5000, "../x", "{{ 1/0 }}"),
    *([], [[]], [None], {}, {"": ""}, {"a": {"b": []}}, "%00", "********", "https://\u2100.com", "0001-01-01"),
]
NAMES = ["id", "name", "webhook_url", "severities", "custom_headers"]
RAW = [b"", b"{", b"[]", b"NaN", b"\xff\xfe", b"\xef\xbb\xbf{}", b'{"a": 1, "a": 2}', b'{"a":' * 9000]
QUERY = [
    *("", "%00", "%FF", "a" * 5000, "-1", "1e400", "9" * 5000, "9999-12-31T23:59:59-01:00", "AAAA"),
]
PARAMETERS = {
    "/channels": ["limit", "cursor", "x"],
    "/history": ["cursor", "status", "alertname", "since", "x"],
    "/deliveries": ["channel_id", "state", "group_key"],
}
HEADERS = {"Content-Type": "application/json"}


async def test_no_query_string_or_path_causes_an_internal_error(relay: Relay) -> None:
    for path, names in PARAMETERS.items():
        for name, value in itertools.product(names, QUERY):
            response = await relay.call("GET", f"{path}?{name}={value}")
            assert response.status in (200, 400), (path, name, value, response.body)
        for value in QUERY[1:]:
            response = await relay.call("GET", f"{path}/{value}")
            assert response.status in (400, 404), (path, value, response.body)


async def test_no_body_causes_an_internal_error(relay: Relay, sink: Sink) -> None:
    hook = {"id": "hook", "name": "Hook", "channel_type": "webhook", "webhook_url": sink.url}
    await relay.channel(**hook)
    channels = [hook | {name: value} for name, value in itertools.product(NAMES, VALUES)]
    bodies = {
        ("POST", "/channels"): channels,
        ("PATCH", "/channels/hook"): [{name: value} for name, value in itertools.product(NAMES[3:], VALUES)],
        ("POST", "/test"): [{"channel_id": value, "severity": value} for value in VALUES],
        ("POST", "/webhook"): [{"alerts": [{"labels": value, "status": "firing"}]} for value in VALUES],
    }

    for (method, path), odd in bodies.items():
        for body in [*RAW, *(json.dumps(one).encode() for one in odd)]:
            response = await relay.call(method, path, data=BytesIO(body), headers=HEADERS)
            assert response.status < 500, (method, path, body, response.body)


async def test_no_content_type_causes_an_internal_error(relay: Relay) -> None:
    for content_type in (
        "text/plain",
        "application/x-msgpack",
        "multipart/form-data",
        "application/xml; charset=x",
        "x",
    ):
        response = await relay.call(
            "POST", "/channels", data=BytesIO(b"\x81\xa1a"), headers={"Content-Type": content_type}
        )
        assert 400 <= response.status < 500, (content_type, response.body)
