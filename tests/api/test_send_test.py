"""`POST /test` sends one message and returns the platform's response."""

from aiohttp import web

from tests.fixtures.relays import Relay
from tests.fixtures.sink import Sink


async def test_the_result_contains_the_platforms_response(relay: Relay, sink: Sink) -> None:
    await relay.channel(name="Ops", channel_type="slack", webhook_url=f"{sink.url}/hook")

    response = await relay.call(
        "POST", "/test", json={"channel_id": "ops", "severity": "critical", "message": "Is this on?"}
    )

    assert response.status == 200
    assert 0 < response.json.pop("duration_ms") < 10_000
    assert response.json == {
        "channel_id": "ops",
        "delivered": True,
        "status_code": 200,
        "reason": None,
        "detail": "ok",
    }
    assert b"Is this on?" in sink.at("/hook")[0].body


async def test_the_result_contains_a_rejection(relay: Relay, sink: Sink) -> None:
    sink.script = lambda _: web.Response(status=403, text="invalid_token")
    await relay.channel(name="Ops", channel_type="slack", webhook_url=sink.url)

    response = await relay.call("POST", "/test", json={"channel_id": "ops"})

    assert (response.status, response.json["delivered"], response.json["status_code"]) == (200, False, 403)
    assert (response.json["reason"], response.json["detail"]) == ("authError", "403 invalid_token")


async def test_a_disabled_channel_can_be_tested(relay: Relay, sink: Sink) -> None:
    await relay.channel(name="Ops", channel_type="webhook", webhook_url=sink.url, enabled=False)

    assert (await relay.call("POST", "/test", json={"channel_id": "ops"})).json["delivered"] is True


async def test_nothing_is_stored_in_the_outbox_or_the_history(relay: Relay, sink: Sink) -> None:
    await relay.channel(name="Ops", channel_type="webhook", webhook_url=sink.url)

    await relay.call("POST", "/test", json={"channel_id": "ops"})

    assert await relay.items("/deliveries") == []
    assert await relay.items("/history") == []


async def test_an_unknown_channel_is_not_found(relay: Relay) -> None:
    response = await relay.call("POST", "/test", json={"channel_id": "nope"})

    assert (response.status, response.json["detail"]) == (404, "there is no channel 'nope'")
