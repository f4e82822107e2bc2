"""Compares what the relay did with a history with what the model states."""

import dataclasses
from collections.abc import Sequence
from typing import Final

from tests.model import invariants
from tests.model.model import Decision, Model
from tests.model.play import FILTERED, WINDOW, Outcome, Played, Player
from tests.model.webhooks import ALERTS, History, Webhook

MAX_SHRINKING: Final = 400
"""Histories that are played to make a failing one smaller."""
ONE_BY_ONE: Final = (1,)
TOGETHER: Final = (1000,)


def differences(history: History, played: Played) -> list[str]:
    """What the relay did otherwise than the model, and what it did that no rule allows."""
    model = Model(WINDOW)
    found: list[str] = []
    same_as: dict[int, int] = {}
    last_ids: dict[tuple[str, str, str], int] = {}
    for webhook, outcome in zip(history.webhooks, played.outcomes, strict=True):
        expected = model.receive(dataclasses.replace(webhook, at=outcome.received_at))
        found += [f"{webhook}: {difference}" for difference in _webhook(webhook, expected, outcome, same_as)]
        for channel_id, delivery_id in outcome.delivery_ids.items():
            of_group = (channel_id, webhook.source, webhook.group)  # commits of different groups may overlap
            if delivery_id <= last_ids.get(of_group, 0):
                found.append(f"{webhook}: the deliveries of {channel_id} are out of order")
            last_ids[of_group] = delivery_id
    found += _occurrences(model, played)
    open_now = [(series, one.id) for series, ones in played.occurrences.items() for one in ones if one.end is None]
    outcomes = [(one.duplicate, one.occurrences, one.delivered.get("all", ())) for one in played.outcomes]
    return found + invariants.violations(history, outcomes, open_now)


def _webhook(webhook: Webhook, expected: Decision, outcome: Outcome, same_as: dict[int, int]) -> list[str]:
    if expected.duplicate != outcome.duplicate:
        return [f"duplicate is {outcome.duplicate}, expected {expected.duplicate}"]
    found = []
    if expected.late != outcome.late:
        found.append(f"late are {outcome.late}, expected {expected.late}")
    filtered = tuple(at for at in expected.delivered if ALERTS[webhook.reports[at].alert][1] == FILTERED)
    for channel_id, positions in {"all": expected.delivered, "filtered": filtered}.items():
        delivered = outcome.delivered.get(channel_id, ())
        if delivered != positions:
            found.append(f"delivered to {channel_id} are {delivered}, expected {positions}")
    mapped = [
        same_as.setdefault(theirs, ours) for theirs, ours in _pairs(outcome.occurrences, expected.occurrences)
    ]
    if mapped != list(expected.occurrences) or len(set(same_as.values())) < len(same_as):
        found.append(f"occurrences are {mapped}, expected {expected.occurrences}")
    return found


def _pairs(theirs: Sequence[int], ours: Sequence[int]) -> list[tuple[int, int]]:
    return list(zip(theirs, ours, strict=True)) if len(theirs) == len(ours) else []


def _occurrences(model: Model, played: Played) -> list[str]:
    found = []
    for series in sorted(played.occurrences.keys() | model.series.keys()):
        stored = played.occurrences.get(series, [])
        ours = sorted((one.start, -1 if one.end is None else one.end, str(one.end_reason))
                      for one in model.series[series].occurrences)  # fmt: skip
        theirs = sorted((one.start, -1 if one.end is None else one.end, str(one.end_reason)) for one in stored)
        if theirs != ours:
            found.append(f"occurrences of {series} are {theirs}, expected {ours}")
        found += [
            f"series {series} names another open occurrence" for one in stored if one.open != (one.end is None)
        ]
    return found


async def shrink(player: Player, history: History) -> tuple[History, list[str]]:
    """Leave out webhooks, and alerts, as long as the relay differs from the model."""
    smallest = dataclasses.replace(history, realistic=False)
    for batches in (ONE_BY_ONE, TOGETHER):
        if found := differences(smallest, *await player.play([smallest], batches)):
            break
    else:  # an alert is left firing, which is only wrong in the whole history
        return history, differences(history, *await player.play([history], ONE_BY_ONE))
    budget, at = MAX_SHRINKING, 0
    while at < len(smallest.webhooks) and budget > 0:
        for candidate in _smaller(smallest, at):
            budget -= 1
            if differing := differences(candidate, *await player.play([candidate], batches)):
                smallest, found = candidate, differing
                break
        else:
            at += 1
    return smallest, found


def _smaller(history: History, at: int) -> list[History]:
    """The history without one webhook, or without one of its alerts."""
    webhooks, webhook = history.webhooks, history.webhooks[at]
    reports = webhook.reports
    fewer = [reports[:position] + reports[position + 1 :] for position in range(len(reports)) if len(reports) > 1]
    smaller = [(dataclasses.replace(webhook, reports=left),) for left in fewer]
    return [
        dataclasses.replace(history, webhooks=(*webhooks[:at], *replacement, *webhooks[at + 1 :]))
        for replacement in [(), *smaller]
    ]
