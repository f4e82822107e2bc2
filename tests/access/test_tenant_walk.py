"""A principal of a tenant walks through every route, and finds and changes nothing of others."""

import re
from collections.abc import AsyncIterator
from typing import Final

import pytest

from relay.app import BASE_PATH as BASE
from tests.access.tenants import EMPTY, OTHER, OWN, SHARED, World, ask, rows_of, world
from tests.access.walk import NUMBERED, Call, Walk
from tests.fixtures.relays import ApiResponse
from tests.fixtures.sink import Sink

HEADERS: Final = {"X-Request-ID", "Date", "Content-Length"}
UNKNOWN: Final = {OTHER: "nonemark", SHARED: "voidmark"}
UNKNOWN_ID: Final = 10**15
OTHER_DIGITS: Final = str.maketrans("0123456789abcdef", "fedcba9876543210")
LISTS: Final = (
    *("/channels", "/channel-templates", "/templates", "/history", "/deliveries", "/sources", "/keys", "/audit"),
    "/silences",
    *(f"/channels/{OWN}-ok/versions", f"/templates/{OWN}-template/versions"),
)


@pytest.fixture
async def found(database_url: str, sink: Sink) -> AsyncIterator[World]:
    async with world(database_url, sink) as made:
        yield made


async def send(found: World, call: Call, key: str) -> ApiResponse:
    headers = dict(call.headers) | ({} if call.body is None else {"Content-Type": "application/json"})
    path = call.path.removeprefix(BASE) if call.path.startswith(BASE) else call.path.removeprefix("/")
    return await ask(
        found.relay, call.method, path, key=key, params=dict(call.query), headers=headers, data=call.body
    )


def visible(response: ApiResponse) -> str:
    """What a response shows, without what it may show of shared channels."""
    headers = {name: value for name, value in response.headers.items() if name not in HEADERS}
    body = response.body.decode()
    for name in ("ok", "fails", "fallback", "dead", "slow", "edited"):
        body = body.replace(f'"channel_name":"{SHARED}-{name}"', '"channel_name":null')
    return f"{response.status} {headers} {body}"


def unknown_names(found: World) -> dict[str, str]:
    """The markers of others, the ids of their keys and silences, and what does not exist in their place."""
    others = [found.objects[marker] for marker in UNKNOWN]
    ids = [one for other in others for one in (*other.key_ids, *other.silences)]
    return UNKNOWN | {one: one.translate(OTHER_DIGITS) for one in ids}


def unknown_twin(found: World, call: Call) -> Call:
    """The same request for objects that do not exist."""

    def twin(text: str) -> str:
        for old, new in unknown_names(found).items():
            text = text.replace(old, new)
        return text

    def number(at: re.Match[str]) -> str:
        own = at[1] == "/history/" and int(at[2]) in found.objects[OWN].alerts
        return at[0] if own else f"{at[1]}{UNKNOWN_ID + int(at[2])}"

    path = re.sub(r"(/(?:deliveries|history)/)(\d+)", number, call.path)
    query = tuple(
        (name, str(UNKNOWN_ID + int(value)) if name in NUMBERED else twin(value)) for name, value in call.query
    )
    body = None if call.body is None else re.sub(r'("delivery_id": )(\d+)', number, twin(call.body))
    return Call(call.method, twin(path), query, body, call.headers)


def keys_of(found: World) -> dict[str, str]:
    return found.objects[OWN].keys | {f"both {role}": key for role, key in found.both.items()}


async def test_every_read_shows_nothing_of_others(found: World) -> None:
    walk = Walk(found)
    cursors = [await cursor_of(found, path) for path in LISTS]
    read = set()
    for who in ("viewer", "admin", "both admin", "ingest"):
        for call in (*walk.reads(), *cursors):
            response = await send(found, call, keys_of(found)[who])
            assert response.status < 500
            if response.status == 200:
                read.add(call.path)
            shown = visible(response)
            assert OTHER not in shown, (who, call, shown)
            assert SHARED not in shown, (who, call, shown)
    assert {f"{BASE}{path}" for path in LISTS} <= read


@pytest.mark.slow
async def test_no_request_distinguishes_what_others_have_from_what_does_not_exist(
    found: World, database_url: str
) -> None:
    walk = Walk(found)
    before = await rows_of(database_url)
    for who in ("operator", "both admin"):
        key = keys_of(found)[who]
        for call in walk.attacks():
            response = await send(found, call, key)
            twin = await send(found, unknown_twin(found, call), key)
            assert without_ids(found, response) == without_ids(found, twin), (who, call)
    assert_only_own_changed(before, await rows_of(database_url))


async def cursor_of(found: World, path: str) -> Call:
    """The next page of a list, as the admin of the other tenant gets it."""
    key = found.objects[OTHER].keys["admin"]
    response = await ask(found.relay, "GET", f"{path.replace(OWN, OTHER)}?limit=1", key=key)
    return Call("GET", f"{BASE}{path}", (("cursor", response.json["next"] or ""),))


def without_ids(found: World, response: ApiResponse) -> str:
    """What a response shows, with one text for the ids of others and those that do not exist."""
    shown = visible(response)
    for old, new in unknown_names(found).items():
        shown = shown.replace(old, new)
    return re.sub(r"\b\d{1,16}\b", lambda at: str(int(at[0]) % UNKNOWN_ID), shown)


def assert_only_own_changed(before: set[tuple[str, str]], after: set[tuple[str, str]]) -> None:
    for table, row in before ^ after:
        assert OWN in row or EMPTY in row or table == "config_version", (table, row)
    for table, row in before - after:
        assert OTHER not in row, (table, row)
        assert SHARED not in row, (table, row)
