"""The key set of an issuer: rotation, failures, and what they may delay."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from aiohttp import web

from relay.access.jwks import guarded_fetch
from relay.access.tokens import token_verifier
from relay.domain.errors import RelayError, Unauthorized, Unavailable
from relay.notify.transport.egress_policy import EgressPolicy
from relay.notify.transport.http import MAX_RESPONSE
from relay.notify.transport.proxy import ProxySettings
from tests.access.conftest import NewCache
from tests.access.issuer import POLICY, ec_key, fetch, public, publish, settings_of, token, verifier_of
from tests.fixtures.sink import Script, Sink

OLD, NEW = ec_key("old"), ec_key("new")
SOON = 0.01
NO_KEY = "signed with a key that its issuer does not publish"


class Clock:
    """A clock that a test sets."""

    time = 0.0

    def __call__(self) -> float:
        return self.time


class Gate:
    """A response that waits until the test opens the gate."""

    def __init__(self, script: Script) -> None:
        self.opened = asyncio.Event()
        self._script = script

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        response = self._script(request)
        await self.opened.wait()
        assert isinstance(response, web.StreamResponse)
        return response


async def test_a_key_set_is_fetched_once(sink: Sink, new_cache: NewCache) -> None:
    publish(sink, OLD, NEW)
    verifier = verifier_of(new_cache())
    for key in (OLD, NEW, OLD):
        await verifier.verify(token(key))
    assert [request.path for request in sink.received] == ["/keys"]


async def test_a_rotated_key_is_fetched_once_for_many_tokens(sink: Sink, new_cache: NewCache) -> None:
    publish(sink, OLD)
    verifier = verifier_of(new_cache())
    await verifier.verify(token(OLD))
    publish(sink, OLD, NEW)
    users = [f"user-{at}" for at in range(20)]
    keys = [NEW, OLD] * 10
    found = await asyncio.gather(
        *(verifier.verify(token(key, sub=user)) for key, user in zip(keys, users, strict=True))
    )
    assert [principal.subject for principal in found] == users
    assert len(sink.received) == 2


async def test_a_fetch_that_began_before_a_rotation_does_not_refuse_a_new_key(
    sink: Sink, new_cache: NewCache
) -> None:
    publish(sink, OLD)
    assert sink.script is not None
    gate = Gate(sink.script)
    sink.script = gate
    verifier = verifier_of(new_cache())
    first = asyncio.create_task(verifier.verify(token(OLD)))
    await sink.wait_for(1)
    publish(sink, OLD, NEW)
    later = asyncio.gather(*(verifier.verify(token(NEW)) for _ in range(5)))
    await asyncio.sleep(0)
    gate.opened.set()
    await first
    assert len(await later) == 5
    assert len(sink.received) == 2


async def test_invented_keys_do_not_flood_the_issuer(sink: Sink, new_cache: NewCache) -> None:
    publish(sink, OLD)
    clock = Clock()
    verifier = verifier_of(new_cache(clock=clock))
    await verifier.verify(token(OLD))

    async def refused(count: int) -> None:
        for at in range(count):
            with pytest.raises(Unauthorized, match=NO_KEY):
                await verifier.verify(token(OLD, {"kid": f"invented-{at}"}))

    await refused(5)
    assert len(sink.received) == 2
    clock.time = 9.9
    await refused(5)
    assert len(sink.received) == 2
    clock.time = 10.0
    await refused(5)
    assert len(sink.received) == 3


async def test_a_hanging_issuer_does_not_delay_known_keys(sink: Sink, new_cache: NewCache) -> None:
    publish(sink, OLD)
    verifier = verifier_of(new_cache())
    await verifier.verify(token(OLD))
    publish(sink, OLD, NEW)
    assert sink.script is not None
    gate = Gate(sink.script)
    sink.script = gate
    waiting = asyncio.create_task(verifier.verify(token(NEW)))
    await sink.wait_for(2)
    await verifier.verify(token(OLD))
    assert not waiting.done()
    gate.opened.set()
    await waiting


async def test_a_hanging_refresh_does_not_delay_known_keys(sink: Sink, new_cache: NewCache) -> None:
    publish(sink, OLD)
    verifier = verifier_of(new_cache(refresh_after=SOON))
    await verifier.verify(token(OLD))
    gate = Gate(lambda request: web.json_response(public(NEW)))
    sink.script = gate
    await sink.wait_for(len(sink.received) + 1)
    await verifier.verify(token(OLD))
    assert not gate.opened.is_set()
    gate.opened.set()


async def test_a_token_waits_for_its_key_for_a_limited_time(new_cache: NewCache) -> None:
    async def hang(url: str) -> bytes:
        await asyncio.Event().wait()
        return b""

    verifier = verifier_of(new_cache(fetch=hang, timeout=SOON))
    with pytest.raises(Unavailable, match="can't be loaded"):
        await verifier.verify(token(OLD))


async def test_a_token_with_an_unknown_key_is_refused_if_the_fetch_times_out(
    sink: Sink, new_cache: NewCache
) -> None:
    publish(sink, OLD)
    times_out = False

    async def fetch_or_time_out(url: str) -> bytes:
        if times_out:
            raise TimeoutError
        return await fetch(url)

    verifier = verifier_of(new_cache(fetch=fetch_or_time_out))
    await verifier.verify(token(OLD))
    times_out = True
    with pytest.raises(Unauthorized, match=NO_KEY):
        await verifier.verify(token(NEW))
    await verifier.verify(token(OLD))


def redirect(request: web.Request) -> web.StreamResponse:
    if request.path == "/keys":
        return web.Response(status=302, headers={"Location": "/elsewhere"})
    return web.json_response(public(OLD))


def disconnect(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.close()
    return web.Response()


def respond(**options: Any) -> Callable[[web.Request], web.StreamResponse]:
    """A script that always gives the same response."""
    return lambda request: web.Response(**options)


FAILURES: dict[str, Script] = {
    "redirect": redirect,
    "disconnect": disconnect,
    "status": lambda request: web.json_response(public(NEW), status=500),
    "no JSON": respond(text="<html>"),
    "not UTF-8": respond(body=b"\xff"),
    "no object": respond(text="[]"),
    "no keys": respond(text="{}"),
    "keys are no array": respond(text='{"keys": {}}'),
    "empty": respond(text='{"keys": []}'),
    "malformed keys": respond(
        text='{"keys": [null, 1, "", {}, {"kty": []}, {"kty": "RSA"}, {"kty": "EC", "crv": 1}]}'
    ),
    "nested": respond(body=b'{"keys":' + b"[" * 100_000),
    "too large": respond(body=b" " * MAX_RESPONSE + b'{"keys": []}'),
}


@pytest.mark.parametrize("failure", FAILURES.values(), ids=FAILURES)
async def test_the_last_good_key_set_is_kept(sink: Sink, new_cache: NewCache, failure: Script) -> None:
    publish(sink, OLD)
    verifier = verifier_of(new_cache(refresh_after=SOON))
    await verifier.verify(token(OLD))
    sink.script = failure
    await sink.wait_for(len(sink.received) + 3)
    await verifier.verify(token(OLD))
    with pytest.raises(Unauthorized, match=NO_KEY):
        await verifier.verify(token(NEW))
    publish(sink, NEW)
    await sink.wait_for(len(sink.received) + 2)
    await verifier.verify(token(NEW))
    assert {request.path for request in sink.received} == {"/keys"}


@pytest.mark.parametrize("failure", FAILURES.values(), ids=FAILURES)
async def test_without_any_key_set_tokens_can_be_sent_again(
    sink: Sink, new_cache: NewCache, failure: Script
) -> None:
    sink.script = failure
    clock = Clock()
    verifier = verifier_of(new_cache(clock=clock))
    for _ in range(3):
        with pytest.raises(Unavailable) as caught:
            await verifier.verify(token(OLD))
        assert caught.value.retry_after == 10
    assert {request.path for request in sink.received} == {"/keys"}
    publish(sink, OLD)
    clock.time = 10.0
    await verifier.verify(token(OLD))


async def test_a_removed_key_is_refused_after_the_next_refresh(sink: Sink, new_cache: NewCache) -> None:
    publish(sink, OLD)
    verifier = verifier_of(new_cache(refresh_after=SOON))
    await verifier.verify(token(OLD))
    publish(sink, NEW)
    await sink.wait_for(len(sink.received) + 2)
    with pytest.raises(Unauthorized, match=NO_KEY):
        await verifier.verify(token(OLD))


async def test_a_private_address_is_not_fetched(sink: Sink) -> None:
    publish(sink, OLD)
    guarded = guarded_fetch(EgressPolicy([]), ProxySettings(None, ()))
    with pytest.raises(Unavailable, match="RELAY_ALLOWED_TARGETS"):
        await guarded(f"{sink.url}/keys")
    assert sink.received == []


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/keys", "http://127.0.0.1:port/keys"])
async def test_an_issuer_that_is_down_is_an_error_without_the_url(url: str) -> None:
    with pytest.raises(RelayError, match="can't be reached") as caught:
        await fetch(url)
    assert "keys" not in str(caught.value)


async def test_the_settings_are_enough_for_a_verifier(sink: Sink) -> None:
    publish(sink, OLD)
    verifier = token_verifier(settings_of(f"{sink.url}/keys"), POLICY, ProxySettings(None, ()))
    assert verifier is not None
    with pytest.raises(Unauthorized, match=NO_KEY):
        await verifier.verify(token(NEW))
    await verifier.close()


async def test_close_cancels_what_runs_in_the_background(sink: Sink, new_cache: NewCache) -> None:
    publish(sink, OLD)
    before = asyncio.all_tasks()
    cache = new_cache(refresh_after=SOON)
    verifier = verifier_of(cache)
    await verifier.verify(token(OLD))
    assert sink.script is not None
    sink.script = Gate(sink.script)
    await sink.wait_for(len(sink.received) + 1)
    own = {task for task in asyncio.all_tasks() - before if "KeySetCache" in repr(task.get_coro())}
    assert len(own) == 2
    await verifier.close()
    assert all(task.cancelled() for task in own)
