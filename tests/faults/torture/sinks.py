"""The platforms of a run: sinks that read every message, and fail a share of them in every way."""

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

from relay.notify.text.content import UNNOTIFIED
from tests.faults.torture.records import Request, Verdict
from tests.fixtures.behaviors import Behavior, answers, drips_forever, hangs, resets_after, sends
from tests.fixtures.platforms import OK, Arrival, Platform

FOLLOWED: Final = "/followed"
MAX_LATENCY: Final = 0.2
"""Seconds before a response, so that some requests are in flight at each kill."""
UNLIMITED: Final = {"per_second": 10_000, "burst": 10_000}

_slack_alert = re.compile(r"((g\d+)-o\d+) seq (\d+)")


@dataclass(frozen=True)
class Fault:
    """One way to fail. An endless body after a 200 is no failure: the status counts."""

    behavior: Behavior
    verdict: Verdict = Verdict.REJECTED


async def limits_until_a_date(writer: asyncio.StreamWriter) -> None:
    """429, with Retry-After as an HTTP date."""
    await answers(429, headers={"Retry-After": email.utils.formatdate(time.time() + 1, usegmt=True)})(writer)


def slack_error(code: str) -> Behavior:
    """An error of Slack inside a 200."""
    return answers(200, json.dumps({"ok": False, "error": code}), {"Content-Type": "application/json"})


FAULTS: Final = (
    *(Fault(answers(status, "no")) for status in (401, 403, 404, 408, 500, 502)),
    Fault(answers(301, headers={"Location": FOLLOWED})),
    Fault(answers(429, headers={"Retry-After": "1"})),
    Fault(limits_until_a_date),
    Fault(answers(503, headers={"Retry-After": "1"})),
    Fault(drips_forever(500)),
    Fault(drips_forever(200), Verdict.ACCEPTED),
    Fault(hangs, Verdict.ABORTED),
    Fault(resets_after(b""), Verdict.ABORTED),
    Fault(resets_after(b"HTTP/1.1 20"), Verdict.ABORTED),
    Fault(sends(b"\x00\xffthis is not HTTP\r\n\r\n"), Verdict.ABORTED),
)
SLACK_FAULTS: Final = (*FAULTS, Fault(slack_error("ratelimited")), Fault(slack_error("internal_error")))


@dataclass
class Sink:
    """The platform of one channel, and the requests it read; it stops failing when `recovered` is set."""

    channel: str
    channel_type: str
    rate_limit: Mapping[str, float]
    rng: Random
    faults: tuple[Fault, ...]
    read: Callable[[str, Arrival], Request]
    share: float
    """The share of requests that fail."""
    platform: Platform = field(default_factory=Platform)
    requests: list[Request] = field(default_factory=list)
    followed: int = 0
    recovered: bool = False

    def __post_init__(self) -> None:
        self.platform.script = self._answer

    @property
    def fields(self) -> dict[str, Any]:
        """The fields of its channel."""
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
        if not self.recovered and self.rng.random() < self.share:
            fault = self.rng.choice(self.faults)
        pause = self.rng.uniform(0, MAX_LATENCY)

        async def behave(writer: asyncio.StreamWriter) -> None:
            await asyncio.sleep(pause)
            if not arrival.gone:  # else the client was killed or timed out
                request.verdict = fault.verdict
                await fault.behavior(writer)

        return behave


def sinks(seed: int, share: float, limit: float) -> list[Sink]:
    """A webhook without a rate limit, one with a limit (so that it gets digests), and a Slack channel."""

    def rng(name: str) -> Random:
        return Random(f"{seed} {name}")

    limited = {"per_second": limit, "burst": 1}
    return [
        Sink("plain", "webhook", UNLIMITED, rng("plain"), FAULTS, read_webhook, share),
        Sink("limited", "webhook", limited, rng("limited"), FAULTS, read_webhook, share),
        Sink("slack", "slack", UNLIMITED, rng("slack"), SLACK_FAULTS, read_slack, share),
    ]


def read_webhook(channel: str, arrival: Arrival) -> Request:
    """The content of a webhook message: one group, or a digest's counts."""
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
        seq=max(int(alert["annotations"]["seq"]) for alert in alerts),
        firing=frozenset(alert["alertname"] for alert in alerts if alert["status"] == "firing"),
        resolved=frozenset(alert["alertname"] for alert in alerts if alert["status"] == "resolved"),
        unnotified=frozenset(alert["alertname"] for alert in alerts if alert.get("untold_firing")),
    )


def read_slack(channel: str, arrival: Arrival) -> Request:
    """The content of a Slack message.

    It has no delivery id, but no two deliveries have the same text.
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
        unnotified=frozenset(match[1] for match, text in found if UNNOTIFIED in text),
    )
