"""Any group is accepted by the strict platform of each type, with every alert shown or counted with a link."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from relay.domain.channel_types import SmsChannel
from relay.domain.notifications import Message, Notification
from relay.domain.outcomes import Outcome, Sent
from relay.notify.registry import NOTIFIERS, notifier_for
from tests.fixtures.sampling import sampled
from tests.fixtures.sink import Sink
from tests.notify.factories import HISTORY, alert, digest, notification
from tests.notify.hostile import HOSTILE_TEXTS, hostile
from tests.notify.message_texts import COUNTED, count_alerts
from tests.notify.sending import local_sender
from tests.notify.strict.setups import SETUPS, StrictSetup

DESCRIPTION = "The disk of this host is filling up. " * 55


def group(size: int, text: str = "", *, mixed: bool = False) -> Notification:
    alerts = []
    for at in range(size):
        annotations = {"summary": text or f"Disk {at}", "description": f"{text} {DESCRIPTION}"}
        status = "resolved" if mixed and at % 2 else "firing"
        alerts.append(alert(status=status, annotations=annotations, instance=f"db{at}"))
    return notification(*alerts, history_url=HISTORY)


GROUPS: dict[str, Notification] = {
    "one alert": group(1),
    "three alerts": group(3),
    "500 alerts of 2 KB": group(500),
    "firing and resolved": group(40, mixed=True),
    "no summary": notification(alert(annotations={}), history_url=HISTORY),
    "a huge label": notification(alert(huge="x" * 10_000), alert(huge="é🔥" * 5_000), history_url=HISTORY),
    "all of it": hostile(history_url=HISTORY, unnotified=frozenset(), fallback_for=None),
} | {f"text {text[:20]}": group(12, text) for text in HOSTILE_TEXTS}


each_setup = pytest.mark.parametrize("setup", SETUPS, indirect=True)


@pytest.fixture
async def setup(request: pytest.FixtureRequest, sink: Sink, tmp_path: Path) -> AsyncIterator[StrictSetup]:
    """Each type in turn, with its platform."""
    _, open_setup = SETUPS[request.param]
    async with open_setup(sink, tmp_path) as opened:
        yield opened


async def send_to(setup: StrictSetup, message: Message) -> Outcome:
    async with local_sender(tls=setup.tls) as sender:
        return await sender.attempt(notifier_for(setup.channel), setup.channel, message)


def test_every_type_has_a_strict_platform() -> None:
    assert {channel_type for channel_type, _ in SETUPS.values()} == set(NOTIFIERS)


@pytest.mark.parametrize(("setup", "message"), sampled(list(SETUPS), GROUPS, keep=30), indirect=["setup"])
async def test_a_group_is_accepted_and_every_alert_is_shown_or_counted(
    message: Notification, setup: StrictSetup
) -> None:
    outcome = await send_to(setup, message)

    assert isinstance(outcome, Sent), outcome
    text = "\n".join(setup.platform.texts)
    assert count_alerts(setup.channel_type, text) == len(message.alerts)
    if COUNTED.search(text) or (setup.channel_type is SmsChannel and len(message.alerts) > 1):
        assert HISTORY in text


@each_setup
async def test_a_digest_is_accepted_and_counts_all(setup: StrictSetup) -> None:
    message = digest(alerts=hostile(30).alerts)
    assert isinstance(await send_to(setup, message), Sent)
    assert any(HISTORY in text for text in setup.platform.texts)


@each_setup
async def test_the_same_group_can_be_sent_twice(setup: StrictSetup) -> None:
    assert isinstance(await send_to(setup, group(3)), Sent)
    assert isinstance(await send_to(setup, group(3)), Sent)
