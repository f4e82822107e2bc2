"""What stands in for the platforms: sinks that read every message, and fail a third of the time in every way?"""

import asyncio
import email.utils
import hashlib
import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

from tests.faults.torture.records import Request, Verdict
from tests.fixtures.behaviors import Behavior, answers, drips_forever, hangs, resets_after, sends
from tests.fixtures.platforms import OK, Arrival, Platform

FOLLOWED: Final = "/followed"
SLOWEST: Final = 0.2
"""Seconds; answers take up to so long, so that a kill meets some requests under way."""
UNLIMITED: Final = {"per_second": 10_000, "burst": 10_000}

SLACK_UNTOLD: Final = "before that could be told"
"""Of the words that say on Slack that a message tells a firing, too."""

_slack_alert = re.compile(r"((g\d+)-o\d+) seq (\d+)")


@dataclass(frozen=True)
class Fault:
    """One way to fail. A body that never ends is no failure: the status has said yes."""

    behavior: Behavior
    verdict: Verdict = Verdict.REFUSED


async def limits_until_a_date(writer: asyncio.StreamWriter) -> None:
    """429, with Retry-After as an HTTP date."""
    await answers(429, headers={"Retry-After": email.utils.formatdate(time.time() + 1, usegmt=True)})(writer)


def slack_says(word: str) -> Behavior:
    """Slack's no inside a 200."""
    return answers(200, json.dumps({"ok": False, "error": word}), {"Content-Type": "application/json"})


FAULTS: Final = (
    *(Fault(answers(status, "no")) for status in (401, 403, 404, 408, 500, 502)),
    Fault(answers(301, headers={"Location": FOLLOWED})),
    Fault(answers(429, headers={"Retry-After": "1"})),
    Fault(limits_until_a_date),
    Fault(answers(503, headers={"Retry-After": "1"})),
    Fault(drips_forever(500)),
    Fault(drips_forever(200), Verdict.ACCEPTED),
    Fault(hangs, Verdict.BROKEN),
    Fault(resets_after(b""), Verdict.BROKEN),
    Fault(resets_after(b"HTTP/1.1 20"), Verdict.BROKEN),
    Fault(sends(b"\x00\xffthis is no HTTP\r\n\r\n"), Verdict.BROKEN),
)
SLACK_FAULTS: Final = (*FAULTS, Fault(slack_says("ratelimited")), Fault(slack_says("internal_error")))


@dataclass
class Sink:
    """One channel's platform, and what it read; `well` ends its failing."""

    channel: str
    channel_type: str
    rate_limit: Mapping[str, float]
    chance: Random
    faults: tuple[Fault, ...]
    read: Callable[[str, Arrival], Request]
    share: float
    """Of the requests that fail."""
    platform: Platform = field(default_factory=Platform)
    requests: list[Request] = field(default_factory=list)
    followed: int = 0
    well: bool = False

    def __post_init__(self) -> None:
        self.platform.script = self._answer

    @property
    def fields(self) -> dict[str, Any]:
        """The channel to be created for it."""
        return {
            "name": self.channel,
            "channel_type": self.channel_type,
            "webhook_url": self.platform.url,
            "rate_limit": dict(self.rate_limit),
        }

    def _answer(self, arrival: Arrival) -> Behavior:
        if arrival.path == FOLLOWED:
            self.followed += 1
            return OK
        request = self.read(self.channel, arrival)
        self.requests.append(request)
        fault = Fault(OK, Verdict.ACCEPTED)
        if not self.well and self.chance.random() < self.share:
            fault = self.chance.choice(self.faults)
        pause = self.chance.uniform(0, SLOWEST)

        async def behave(writer: asyncio.StreamWriter) -> None:
            await asyncio.sleep(pause)
            if not arrival.gone:  # else nobody waits for the answer any more: it was killed, or ran out of time
                request.verdict = fault.verdict
                await fault.behavior(writer)

        return behave


def sinks(seed: int, share: float, limit: float) -> list[Sink]:
    """A webhook without a limit, one with a limit (so that it gets digests), and a Slack."""

    def chance(name: str) -> Random:
        return Random(f"{seed} {name}")

    limited = {"per_second": limit, "burst": 1}
    return [
        Sink("plain", "webhook", UNLIMITED, chance("plain"), FAULTS, read_webhook, share),
        Sink("limited", "webhook", limited, chance("limited"), FAULTS, read_webhook, share),
        Sink("slack", "slack", UNLIMITED, chance("slack"), SLACK_FAULTS, read_slack, share),
    ]


def read_webhook(channel: str, arrival: Arrival) -> Request:
    """What a message of the plain webhook tells: one group, or a digest's counts."""
    message = arrival.json
    if digest := message.get("digest"):
        counts = digest["counts"]
        return Request(
            channel=channel,
            delivery=message["id"],
            group=None,
            seq=0,
            firing=frozenset(count["alertname"] for count in counts if count["firing"]),
            resolved=frozenset(count["alertname"] for count in counts if count["resolved"]),
        )
    alerts = message["alerts"]
    return Request(
        channel=channel,
        delivery=message["id"],
        group=message["group_labels"]["group"],
        seq=max(int(one["annotations"]["seq"]) for one in alerts),
        firing=frozenset(one["alertname"] for one in alerts if one["status"] == "firing"),
        resolved=frozenset(one["alertname"] for one in alerts if one["status"] == "resolved"),
        untold=frozenset(one["alertname"] for one in alerts if one.get("untold_firing")),
    )


def read_slack(channel: str, arrival: Arrival) -> Request:
    """What a message in Slack's blocks tells of a group.

    It carries no delivery's id, but no two deliveries say the same.
    """
    blocks = [block for attachment in arrival.json["attachments"] for block in attachment["blocks"]]
    texts = [block["text"]["text"] for block in blocks if block["type"] == "section"]
    found = [(match, text) for text in texts if (match := _slack_alert.search(text))]
    return Request(
        channel=channel,
        delivery=hashlib.sha256(arrival.body).hexdigest()[:16],
        group=found[0][0][2] if found else None,
        seq=max((int(match[3]) for match, _ in found), default=0),
        firing=frozenset(match[1] for match, text in found if "✅" not in text),
        resolved=frozenset(match[1] for match, text in found if "✅" in text),
        untold=frozenset(match[1] for match, text in found if SLACK_UNTOLD in text),
    )
