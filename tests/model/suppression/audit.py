"""The audit of a history: what the messages and the stored deliveries must not contain.

Pure: records in, violations out. For each channel:

suppressed   a message with an occurrence that fires, claimed after the response of what suppresses it, and read
             before that ended. A delivery is claimed after it was created, and after it was last seen waiting.
lost         an occurrence that fires at the end, and that no accepted message contains since it was last reported.
red          an occurrence that has ended, whose firing the channel may have, and no accepted message with its end.
unannounced  the end of an occurrence in a message, whose firing was suppressed and never sent.
revived      a message with an occurrence that fires, read after one with its end was accepted.
twice        a release of an occurrence that was suppressed before an earlier release of it was delivered.
foreign      a release of an occurrence that none of the deliveries has that it replaces.
stuck        a delivery that waits, or is held although nothing suppresses it.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import combinations
from typing import Any

from tests.model.suppression.records import Key, Received, Reported, Story, Verdict


@dataclass(frozen=True)
class Stored:
    """The deliveries at the end, the occurrences of alerts by id, and the deliveries that are held.

    `created` are the moments at which deliveries were created, by id. `interrupted` are those that a killed
    replica had claimed, and perhaps sent.
    """

    deliveries: Sequence[Mapping[str, Any]] = ()
    alerts: Mapping[int, Key] = field(default_factory=dict)
    held: frozenset[int] = frozenset()
    created: Mapping[int, float] = field(default_factory=dict)
    interrupted: frozenset[int] = frozenset()

    @cached_property
    def ids(self) -> dict[Key, int]:
        """The ids of alerts by occurrence."""
        return {key: at for at, key in self.alerts.items()}

    def claimed_after(self, one: Received) -> float:
        """The moment after which the delivery of a message was claimed for this attempt."""
        return max(self.created[one.delivery], one.waited_at)


def violations(story: Story, stored: Stored) -> list[str]:
    """All violations of a history, as text."""
    own = [one for one in stored.deliveries if one["channel_id"] in story.channels]
    found = [
        *_suppressed(story, stored),
        *_lost(story),
        *_red(story),
        *_unannounced(story, stored),
        *_revived(story),
        *_twice(own, stored.alerts),
        *_stuck(own, stored.held),
    ]
    return [f"{story.name} {text}" for text in found]


def _suppressed(story: Story, stored: Stored) -> Iterator[str]:
    for one in story.received:
        if one.miscounted:
            yield f"suppressed: {one} counts other alerts than it shows"
        since = stored.claimed_after(one)
        if since > one.at:  # a digest that gathered more since: its creation is newer than this attempt
            since = -math.inf
        for key in sorted(one.firing):
            if (one.channel, stored.ids[key]) in story.exempt:
                continue
            places = [channel for channel in story.channels if one.channel in story.both(channel)]
            by = [
                suppression
                for channel in ([one.channel] if one.channel in story.fallbacks else places)
                for suppression in story.covering(key, channel, since, one.at)
            ]
            if by:
                read = f"{one.channel} read {key} at {one.at:.2f} in {one.delivery}"
                yield f"suppressed: {read}, claimed after {since:.2f}, despite {by[0]}"


def _lost(story: Story) -> Iterator[str]:
    for channel in story.channels:
        if channel in story.fallbacks.values():
            continue
        accepted = _accepted(story, story.both(channel))
        for key, last in _last_reports(story).items():
            if key in last.firing and not any(one.at >= last.at and key in one.firing for one in accepted):
                yield f"lost: {channel} did not read {key}, reported at {last.at:.2f}"


def _red(story: Story) -> Iterator[str]:
    for channel in story.channels:
        if channel in story.fallbacks.values():
            continue
        both = story.both(channel)
        accepted = _accepted(story, both)
        for key, last in _last_reports(story).items():
            got = [
                one
                for one in story.received
                if one.channel in both and one.verdict is not Verdict.REFUSED and key in one.firing
            ]
            silent = any(
                not one.send_resolved and one.concerns(key, story.labels[key[0]], channel)
                for one in story.suppressions
                for channel in both
            )
            if key in last.firing or silent or not got:
                continue
            if not any(key in one.resolved for one in accepted):
                yield f"red: {channel} read the firing of {key} at {got[-1].at:.2f}, and not its end"


def _unannounced(story: Story, stored: Stored) -> Iterator[str]:
    last = _last_reports(story)
    for channel in story.channels:
        rows = [one for one in stored.deliveries if one["channel_id"] == channel]
        released = {one["id"] for one in rows if one["kind"] != "group"}
        interrupted = any(one["id"] in stored.interrupted for one in rows)
        both = {other for other in story.channels if set(story.both(other)) & set(story.both(channel))}
        announced: set[Key] = set()
        for one in story.received:
            if one.channel not in both:
                continue
            for key in sorted(one.resolved - announced):
                held = [row["id"] for row in rows if row["suppressed_by"] and stored.ids[key] in row["alert_ids"]]
                # It may have ended between the claim of its release and the message, also in a webhook that was
                # stored, and whose response was lost with the replica.
                ended = last[key].answered if key in last else math.inf
                in_flight = one.delivery in released and stored.claimed_after(one) < ended
                exempt = in_flight or interrupted or (channel, stored.ids[key]) in story.exempt
                if one.channel == channel and held and not exempt:
                    yield f"unannounced: {channel} read the end of {key} at {one.at:.2f}, suppressed in {held}"
            # What the platform refuses for good is sent to the fallback, and its end as usual.
            if one.verdict is not Verdict.REFUSED or one.channel in story.fallbacks:
                announced |= one.firing
            announced |= one.resolved


def _revived(story: Story) -> Iterator[str]:
    over: set[tuple[str, Key]] = set()
    for one in story.received:
        for key in sorted(one.firing):
            if (one.channel, key) in over:
                yield f"revived: {one.channel} read {key} at {one.at:.2f} in {one.delivery} after its end"
        if one.verdict is Verdict.ACCEPTED:
            over.update((one.channel, key) for key in one.resolved)


def _twice(own: Sequence[Mapping[str, Any]], alerts: Mapping[int, Key]) -> Iterator[str]:
    releases = [one for one in own if one["kind"] == "release" and one["fallback_of"] is None]
    for release in releases:
        members = [one for one in own if one["merged_into"] == release["id"] and one["suppressed_by"]]
        if release["suppressed_by"]:  # it was suppressed again, with what had been merged into it
            continue
        held = {at for one in members for at in one["alert_ids"]}
        for at in sorted(set(release["alert_ids"]) - held):
            yield f"foreign: {alerts[at]} was released in {release['id']}, of {[one['id'] for one in members]}"
    for earlier, later in combinations(releases, 2):
        if earlier["channel_id"] != later["channel_id"] or earlier["delivered_at"] is None:
            continue
        members = [one for one in own if one["merged_into"] == later["id"] and one["suppressed_by"]]
        for at in sorted(set(earlier["alert_ids"]) & set(later["alert_ids"]) - set(earlier["withheld"])):
            created = [one["created_at"] for one in members if at in one["alert_ids"]]
            if not created:
                continue
            if later["created_at"] > earlier["delivered_at"] and max(created) < earlier["created_at"]:
                yield f"twice: {alerts[at]} was released in {earlier['id']} and in {later['id']}"


def _stuck(own: Sequence[Mapping[str, Any]], held: frozenset[int]) -> Iterator[str]:
    for one in own:
        if one["state"] in ("pending", "sending"):
            yield f"stuck: {one['id']} is {one['state']}"
        if one["id"] in held:
            yield f"stuck: {one['id']} is held"
        if one["state"] == "merged" and one["merged_into"] is None:
            yield f"stuck: {one['id']} is merged into nothing"


def _last_reports(story: Story) -> dict[Key, Reported]:
    """By occurrence: its last report."""
    return {key: one for one in story.reported for key in one.firing | one.resolved}


def _accepted(story: Story, channels: Sequence[str]) -> list[Received]:
    return [one for one in story.received if one.channel in channels and one.verdict is Verdict.ACCEPTED]
