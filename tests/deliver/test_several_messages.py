"""Is a group that takes several messages told in all of them once, with a link to what did not fit?"""

import re

from aiohttp import web
from standardwebhooks import Webhook

from relay.notify.signing import new_signing_secret
from tests.fixtures.relays import Relay, alert, webhook
from tests.fixtures.sink import Sink

FAST = {"per_second": 100, "burst": 10}
NUMBERED = re.compile(r"\((\d)/(\d)\)")
TOLD = re.compile(r"instance=db(\d+)`")
LEFT = re.compile(r"… and (\d+) more alerts that did not fit here")
HISTORY = re.compile(r"/history\?delivery_id=(\d+)\|All of them>")


async def test_after_a_failure_it_goes_on_where_it_was_and_ends_in_a_link_to_all_of_it(
    relay: Relay, sink: Sink
) -> None:
    answers = iter([200, 200, 503])
    sink.script = lambda _: web.Response(status=next(answers, 200), text="ok")
    await relay.channel(name="Ops", channel_type="slack", webhook_url=sink.url, rate_limit=FAST, max_messages=4)
    alerts = [alert("DiskFull", "firing" if at % 3 else "resolved", instance=f"db{at}") for at in range(500)]

    await relay.webhook(webhook(*alerts))

    [delivery] = await relay.settled(1)
    texts = [one.body.decode() for one in sink.received]
    numbers = [NUMBERED.findall(text)[0] for text in texts]
    assert numbers == [("1", "4"), ("2", "4"), ("3", "4"), ("3", "4"), ("4", "4")]
    assert texts[2] == texts[3]
    told = [name for text in [*texts[:3], texts[4]] for name in TOLD.findall(text)]
    assert len(told) == len(set(told))
    [left] = LEFT.findall(texts[4])
    assert len(told) + int(left) == 500
    assert HISTORY.findall(texts[4]) == [str(delivery["id"])]
    kept = await relay.call("GET", f"/history?delivery_id={delivery['id']}&limit=500")
    assert len(kept.json["items"]) == 500


async def test_a_webhook_s_retry_has_the_id_of_the_delivery_and_a_signature_of_its_own(
    relay: Relay, sink: Sink
) -> None:
    answers = iter([503])
    sink.script = lambda _: web.Response(status=next(answers, 200), text="ok")
    secret = new_signing_secret()
    await relay.channel(name="Ops", channel_type="webhook", webhook_url=sink.url, signing_secret=secret)

    await relay.webhook(webhook())

    [delivery] = await relay.settled(1)
    assert [one.headers["webhook-id"] for one in sink.received] == [f"msg_{delivery['id']}"] * 2
    for one in sink.received:
        Webhook(secret).verify(one.body, one.headers)
    [shown] = await relay.items("/channels")
    assert (shown["signing_secret"], shown["signing_secret_previous"]) == ("********", None)
