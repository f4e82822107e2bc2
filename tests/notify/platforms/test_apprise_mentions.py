"""Alerts mention nobody on the services of Apprise."""

import msgspec
import pytest

from relay.domain.channel_types import AppriseChannel
from relay.domain.notifications import Message
from relay.notify.registry import NOTIFIERS
from relay.notify.requests import Notice
from tests.notify.factories import alert, channel, notification

MENTIONS = ("@everyone", "x@here", "@Channel", "@oncall", "<!here>", "<@U123>", "<@&99>", "<!subteam^S1>", "<#C1>")


def notice(message: Message) -> Notice:
    request = NOTIFIERS[AppriseChannel].request(channel(AppriseChannel), message)
    assert isinstance(request, Notice)
    return request


@pytest.mark.parametrize("mention", MENTIONS)
def test_an_alert_mentions_nobody_on_the_service(mention: str) -> None:
    hostile = alert(
        f"{mention} down", annotations={"summary": mention, "description": f"a {mention} b"}, team=mention
    )
    hostile = msgspec.structs.replace(hostile, generator_url=f"http://prometheus/{mention}")
    sent = notice(notification(hostile, alert(at="2", other=mention)))
    assert mention.lower() not in f"{sent.title}\n{sent.text}".lower()
    assert mention.strip("<>") in sent.text.replace("\u2060", "").replace("%40", "@")


def test_an_address_stays_as_it_is() -> None:
    assert "ops@example.com" in notice(notification(alert(annotations={"summary": "ask ops@example.com"}))).text
