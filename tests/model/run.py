"""Plays many histories, and makes those that fail smaller."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tests.model import chaos, world
from tests.model.compare import differences, shrink
from tests.model.play import Player
from tests.model.webhooks import History

SHARE: Final = 1000
"""Histories that are played at the same time."""
BATCHES: Final = (1, 30, 200, 3, 80)
"""Webhooks that are submitted together, in rotation."""
SIMULATED: Final = 2
"""Two of three histories come from a simulated installation, the others from chaos."""


@dataclass(frozen=True)
class Found:
    """The number of histories that the relay treats otherwise than the model, and some of them, made smaller."""

    count: int
    smallest: Sequence[tuple[History, Sequence[str]]]


def histories(seed: int, numbers: range) -> list[History]:
    """The histories of a seed."""
    return [
        world.history(f"{seed}/{number}")
        if number % (SIMULATED + 1) < SIMULATED
        else chaos.history(f"{seed}/{number}")
        for number in numbers
    ]


async def run(player: Player, played: Sequence[History], shown: int) -> Found:
    """Play histories; make at most `shown` of those that differ smaller."""
    results = await player.play(played, BATCHES)
    failing = [
        (history, found)
        for history, one in zip(played, results, strict=True)
        if (found := differences(history, one))
    ]
    failing.sort(key=lambda one: len(one[0].webhooks))
    smallest = []
    for history, found in failing[:shown]:
        smaller, still = await shrink(player, history)
        # What depends on the commits of other histories does not appear in a history alone.
        smallest.append((smaller, still) if still else (history, found))
    return Found(len(failing), smallest)


def report(history: History, found: Sequence[str]) -> str:
    """A history and its differences as text."""
    return "\n".join([str(history), *(f"  ! {difference}" for difference in found)])
