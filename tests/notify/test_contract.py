"""Is any group taken by each type's strict platform, nobody pinged, each alert shown or counted with a link?"""

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
from tests.notify.hostile import TEXTS, hostile
from tests.notify.message_texts import COUNTED, count_alerts
from tests.notify.sending import local_sender
from tests.notify.strict.setups import STAGES, Stage

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
} | {f"text {text[:20]}": group(12, text) for text in TEXTS}


each_setup = pytest.mark.parametrize("stage", STAGES, indirect=True)


@pytest.fixture
async def stage(request: pytest.FixtureRequest, sink: Sink, tmp_path: Path) -> AsyncIterator[Stage]:
    """Each type in turn, with its platform."""
    _, opens = STAGES[request.param]
    async with opens(sink, tmp_path) as opened:
        yield opened


async def tell(stage: Stage, told: Message) -> Outcome:
    async with local_sender(tls=stage.tls) as sender:
        return await sender.attempt(notifier_for(stage.channel), stage.channel, told)


def test_every_type_has_a_strict_platform() -> None:
    assert {channel_type for channel_type, _ in STAGES.values()} == set(NOTIFIERS)


@pytest.mark.parametrize(("stage", "told"), sampled(list(STAGES), GROUPS, keep=30), indirect=["stage"])
async def test_a_group_is_accepted_and_every_alert_is_shown_or_counted(told: Notification, stage: Stage) -> None:
    outcome = await tell(stage, told)

    assert isinstance(outcome, Sent), outcome
    text = "\n".join(stage.platform.told)
    assert count_alerts(stage.channel_type, text) == len(told.alerts)
    if COUNTED.search(text) or (stage.channel_type is SmsChannel and len(told.alerts) > 1):
        assert HISTORY in text


@each_setup
async def test_a_digest_is_accepted_and_counts_all(stage: Stage) -> None:
    told = digest(alerts=hostile(30).alerts)
    assert isinstance(await tell(stage, told), Sent)
    assert any(HISTORY in text for text in stage.platform.told)


@each_setup
async def test_the_same_group_can_be_sent_twice(stage: Stage) -> None:
    assert isinstance(await tell(stage, group(3)), Sent)
    assert isinstance(await tell(stage, group(3)), Sent)
