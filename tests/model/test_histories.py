"""Random histories: the relay does what the model states, and leaves no alert firing."""

import pytest

from relay.receive import backlog, committer, parts
from relay.store.postgres.database import Database
from tests.model.play import Player
from tests.model.run import histories, report, run

SEED = 12
SHOWN = 3


@pytest.mark.slow
async def test_the_relay_does_the_same_with_webhooks_that_are_committed_in_parts(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(committer, "MANY_ALERTS", 0)
    monkeypatch.setattr(backlog, "MANY_ALERTS", 0)
    monkeypatch.setattr(parts, "PART_ALERTS", 1)
    async with Player(database).running() as player:
        found = await run(player, histories(SEED, range(50)), SHOWN)
    assert not found.count, "\n\n".join(report(*smallest) for smallest in found.smallest)


@pytest.mark.parametrize(
    "numbers", [range(150), pytest.param(range(150, 2150), marks=pytest.mark.slow)], ids=["few", "many"]
)
async def test_the_relay_does_what_the_model_states(database: Database, numbers: range) -> None:
    async with Player(database).running() as player:
        found = await run(player, histories(SEED, numbers), SHOWN)
    assert not found.count, "\n\n".join(report(*smallest) for smallest in found.smallest)
