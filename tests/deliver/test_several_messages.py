"""Tests of groups that need several messages, and of the headers of a retried webhook."""

import re

from aiohttp import web
from standardwebhooks import Webhook

from relay.notify.signing import new_signing_secret
from tests.fixtures.relays import Relay, alert, webhook
from tests.fixtures.sink import Sink

FAST = {"per_second": 100, "burst": 10}
NUMBERED = re.compile(r"\((\d)/(\d)\)")
SHOWN = re.compile(r"instance=db(\d+)`")
OMITTED = re.compile(r"… and (\d+) more alerts that did not fit here")
HISTORY = re.compile(r"/history\?delivery_id=(\d+)\|All of them>")


async def test_a_retry_continues_after_the_accepted_messages_and_ends_with_a_link_to_the_history(
    relay: Relay, sink: Sink
) -> None:
    statuses = iter([200, 200, 503])
    sink.script = lambda _: web.Response(status=next(statuses, 200), text="ok")
    await relay.channel(name="Ops", channel_type="slack", webhook_url=sink.url, rate_limit=FAST, max_messages=4)
    alerts = [alert("DiskFull", "firing" if at % 3 else "resolved", instance=f"db{at}") for at in range(500)]

    await relay.webhook(webhook(*alerts))

    [delivery] = await relay.settled(1)
    texts = [request.body.decode() for request in sink.received]
    numbers = [NUMBERED.findall(text)[0] for text in texts]
    assert numbers == [("1", "4"), ("2", "4"), ("3", "4"), ("3", "4"), ("4", "4")]
    assert texts[2] == texts[3]
    names = [name for text in [*texts[:3], texts[4]] for name in SHOWN.findall(text)]
    assert len(names) == len(set(names))
    [omitted] = OMITTED.findall(texts[4])
    assert len(names) + int(omitted) == 500
    assert HISTORY.findall(texts[4]) == [str(delivery["id"])]
    history = await relay.call("GET", f"/history?delivery_id={delivery['id']}&limit=500")
    assert len(history.json["items"]) == 500


async def test_a_retried_webhook_keeps_its_id_and_gets_a_new_signature(relay: Relay, sink: Sink) -> None:
    statuses = iter([503])
    sink.script = lambda _: web.Response(status=next(statuses, 200), text="ok")
    secret = new_signing_secret()
    await relay.channel(name="Ops", channel_type="webhook", webhook_url=sink.url, signing_secret=secret)

    await relay.webhook(webhook())

    [delivery] = await relay.settled(1)
    assert [request.headers["webhook-id"] for request in sink.received] == [f"msg_{delivery['id']}"] * 2
    for request in sink.received:
        Webhook(secret).verify(request.body, request.headers)
    [channel] = await relay.items("/channels")
    assert (channel["signing_secret"], channel["signing_secret_previous"]) == ("********", None)
