"""Does a template without an end hold anybody up?"""

from tests.fixtures.relays import Relay, webhook
from tests.fixtures.sink import Sink

ENDLESS = "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}"


async def test_an_endless_template_gives_way_to_the_built_in_body_and_says_so(relay: Relay, sink: Sink) -> None:
    await relay.channel(name="Ops", channel_type="webhook", webhook_url=sink.url, custom_payload_template=ENDLESS)

    await relay.webhook(webhook())

    [received] = await sink.wait_for(1)
    assert received.json["status"] == "firing"
    [delivery] = await relay.settled(1)
    [tried] = (await relay.call("GET", f"/deliveries/{delivery['id']}")).json["tries"]
    assert "custom_payload_template failed" in tried["detail"]
    assert "took longer than" in tried["detail"]
