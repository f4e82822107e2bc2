"""One history: random webhooks, silences and acknowledgements, each recorded as it is known from outside."""

import asyncio
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, Final

from tests.model.suppression import silencing
from tests.model.suppression.client import Client
from tests.model.suppression.clock import Clock
from tests.model.suppression.records import Key, Reported, Story, Suppression

GROUPS: Final = 4
ALERTS: Final = 2
"""Alerts of each group."""
TEAMS: Final = ("db", "web", None)


@dataclass
class Player:
    """Plays one history through the API of the replicas."""

    story: Story
    client: Client
    clock: Clock
    rng: Random
    firing: dict[str, Key] = field(default_factory=dict)
    """The occurrences that fire, by the names of their alerts."""
    silences: dict[str, Suppression] = field(default_factory=dict)
    """Those that may be active, by id."""
    acknowledged: dict[Key, tuple[int, Suppression]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for group in range(GROUPS):
            for number in range(ALERTS):
                name = f"{self.story.name}g{group}a{number}"
                team, severity = self.rng.choice(TEAMS), self.rng.choice(("critical", "warning", "warning"))
                labels = {"alertname": name, "history": self.story.name, "severity": severity}
                self.story.labels[name] = labels | ({} if team is None else {"team": team})

    async def play(self, seconds: float, pause: float) -> None:
        """Do something random at random times."""
        until = time.monotonic() + seconds
        actions = [self._report] * 7 + [self._silence] * 4 + [self._acknowledge] * 2
        actions += [self._change, self._expire, self._withdraw, self._redeliver]
        await self._report()
        while time.monotonic() < until:
            await asyncio.sleep(self.rng.uniform(0, 2 * pause))
            await self.rng.choice(actions)()

    async def finish(self) -> None:
        """End all that suppresses; those that a lost response left unknown too."""
        for at in list(self.silences):
            await self._end(at)
        own = f'history="{self.story.name}"'
        for state in ("active", "pending"):
            found = await self.client.call("GET", "/silences", params={"matcher": own, "state": state})
            for one in found["items"]:
                await self.client.call("POST", f"/silences/{one['id']}/expire")
        while self.acknowledged:
            await self._withdraw()

    async def _report(self) -> None:
        group = self.rng.randrange(GROUPS)
        names = [f"{self.story.name}g{group}a{number}" for number in range(ALERTS)]
        share = self.rng.choice((0.1, 0.5, 0.8))
        began = datetime.now(UTC).isoformat(timespec="milliseconds")
        firing, resolved = [], []
        for name in names:
            if name in self.firing and self.rng.random() < 0.25:
                resolved.append(self.firing.pop(name))
            elif name not in self.firing and self.rng.random() < share:
                self.firing[name] = (name, began)
            if name in self.firing:
                firing.append(self.firing[name])
        if not firing and not resolved:
            return
        at = time.monotonic()
        self._end_acknowledgements(resolved, at)
        result = await self.client.call("POST", "/webhook", json=self._body(group, firing, resolved))
        self._note(f"reported {sorted(firing)} resolved {sorted(resolved)} -> {result}")
        if not result["duplicate"]:
            self.story.reported.append(
                Reported(at, time.monotonic(), str(group), frozenset(firing), frozenset(resolved))
            )

    def _body(self, group: int, firing: list[Key], resolved: list[Key]) -> dict[str, Any]:
        ended = datetime.now(UTC).isoformat(timespec="milliseconds")
        return {
            "version": "4",
            "groupKey": f'{{}}:{{history="{self.story.name}", group="{group}"}}',
            "receiver": "relay",
            "status": "firing" if firing else "resolved",
            "alerts": [
                {
                    "status": "resolved" if key in resolved else "firing",
                    "labels": self.story.labels[key[0]],
                    "annotations": {},
                    "startsAt": key[1],
                    "endsAt": ended if key in resolved else "0001-01-01T00:00:00Z",
                    "generatorURL": "",
                }
                for key in (*firing, *resolved)
            ],
            "groupLabels": {"group": str(group)},
            "commonLabels": {},
            "commonAnnotations": {},
            "externalURL": f"http://{self.story.name}.example.com",
        }

    async def _silence(self) -> None:
        fields = silencing.random_fields(self.rng, self.story, self.clock.now())
        answer = await self.client.call("POST", "/silences", json=fields)
        if answer is not None:
            self._add(answer)

    def _add(self, answer: dict[str, Any]) -> None:
        one = silencing.suppression(answer, time.monotonic(), self.clock)
        self.story.suppressions.append(one)
        self.silences[answer["id"]] = one
        self._note(f"silence {answer}")

    async def _change(self) -> None:
        if not self.silences:
            return
        at = self.rng.choice(list(self.silences))
        before = self.silences[at]
        patch = silencing.random_patch(self.rng, self.story, self.clock.now())
        before.end, end = min(before.end, time.monotonic()), before.end
        answer = await self.client.call("PATCH", f"/silences/{at}", json=patch)
        del self.silences[at]
        if answer is not None:
            self._add(answer)
            if answer["id"] == at and set(patch) == {"comment"}:
                self.story.suppressions.pop()
                self.silences[at], before.end = before, end

    async def _expire(self) -> None:
        if self.silences:
            await self._end(self.rng.choice(list(self.silences)))

    async def _end(self, silence_id: str) -> None:
        one = self.silences.pop(silence_id)
        one.end = min(one.end, time.monotonic())
        await self.client.call("POST", f"/silences/{silence_id}/expire")
        self._note(f"expired {silence_id}")

    async def _acknowledge(self) -> None:
        free = [key for key in self.firing.values() if key not in self.acknowledged]
        if not free:
            return
        key = self.rng.choice(free)
        found = await self.client.call("GET", "/history", params={"alertname": key[0], "status": "firing"})
        if not found["items"]:
            return
        alert_id = found["items"][0]["id"]
        fields: dict[str, Any] = {"comment": "on it"}
        end = float("inf")
        if self.rng.random() < 0.3:
            until = datetime.now(UTC) + timedelta(seconds=self.rng.uniform(1, 4))
            fields["until"], end = (
                until.isoformat(),
                time.monotonic() + (until - datetime.now(UTC)).total_seconds(),
            )
        if await self.client.call("POST", f"/history/{alert_id}/acknowledge", json=fields) is None:
            return
        one = Suppression(f"acknowledged:{alert_id}", time.monotonic(), end, alert=key)
        self.story.suppressions.append(one)
        self.acknowledged[key] = alert_id, one
        self._note(f"acknowledged {key} {fields}")

    async def _withdraw(self) -> None:
        if self.acknowledged:
            key = self.rng.choice(list(self.acknowledged))
            alert_id = self.acknowledged[key][0]
            self._end_acknowledgements([key], time.monotonic())
            await self.client.call("DELETE", f"/history/{alert_id}/acknowledge")
            self._note(f"withdrew {key}")

    def _end_acknowledgements(self, keys: list[Key], at: float) -> None:
        for key in keys:
            if key in self.acknowledged:
                one = self.acknowledged.pop(key)[1]
                one.end = min(one.end, at)

    async def _redeliver(self) -> None:
        if self.rng.random() < 0.7:
            return
        channel = self.rng.choice(self.story.channels)
        parameters = {"state": "suppressed", "channel_id": channel, "limit": "1"}
        found = await self.client.call("GET", "/deliveries", params=parameters)
        for one in found["items"]:
            ids = {at for suppressed in one["suppressed_by"].values() for at in suppressed}
            self.story.exempt.update((both, at) for both in self.story.channels for at in ids)
            await self.client.call("POST", f"/deliveries/{one['id']}/redeliver")
            self._note(f"redelivered {one['id']}")

    def _note(self, text: str) -> None:
        self.story.log.append((time.monotonic(), text))
