"""A simulated installation: Prometheus replicas, Alertmanager peers, and the network to the relay."""

import heapq
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Final

from tests.model.alertmanager import Alertmanager, Flush, LogEntry
from tests.model.webhooks import History, Report, Sender, Webhook

LENGTH: Final = 3000
CALM: Final = 700
"""Seconds at the end in which nothing fires and nothing fails."""
EVALUATION: Final = 15
RESEND: Final = 60
FIRING_FOR: Final = 240
"""Prometheus reports an end this far ahead while an alert fires."""
RESOLVED_FOR: Final = 900
MAX_LAG: Final = 45

Intervals = list[tuple[int, int]]


@dataclass(frozen=True)
class Weather:
    """How unreliable the network to the relay is: the probability of each failure."""

    request_lost: float
    response_lost: float
    swallowed: float
    """A proxy answers 200 and drops the webhook."""
    slow: float


def history(seed: str) -> History:
    """Simulate one installation, and a second source in some."""
    rng = random.Random(seed)
    source, peers = rng.choice(["", "", "a"]), rng.choice([1, 2, 2, 2, 2, 2, 3])
    webhooks = list(Installation(rng, source, peers).run())
    if rng.random() < 0.4:
        webhooks += Installation(rng, source="b", peers=rng.choice([1, 1, 2])).run()
    ordered = sorted(webhooks, key=lambda webhook: webhook.at)
    # Of three peers, one that lags may reopen what another resolves: that can't be told from a new firing.
    return History(seed, tuple(ordered), realistic=peers < 3)


def _spread(rng: random.Random, low: int, high: int) -> int:
    """A number whose order of magnitude is uniform."""
    return int(low * (high / low) ** rng.random())


def _periods(rng: random.Random, gap: tuple[int, int], length: tuple[int, int]) -> Intervals:
    periods: Intervals = []
    now = _spread(rng, *gap)
    while now < LENGTH - CALM:
        end = min(now + _spread(rng, *length), LENGTH - CALM)
        periods.append((now, end))
        now = end + _spread(rng, *gap)
    return periods


def _inside(periods: Intervals, now: int) -> bool:
    return any(start <= now < end for start, end in periods)


class Prometheus:
    """One replica: it evaluates at its own times, and so sees an alert start and end later than others."""

    def __init__(self, rng: random.Random, truth: dict[str, Intervals]) -> None:
        self.phase = rng.randrange(EVALUATION)
        self._truth = truth
        self._active: dict[str, tuple[int, int | None]] = {}
        self._sent: dict[str, int] = {}

    def evaluate(self, now: int) -> list[tuple[str, int, int]]:
        """Evaluate the rules; return the alerts to send: name, start and end."""
        sending = []
        for name, periods in self._truth.items():
            firing, known = _inside(periods, now), self._active.get(name)
            if firing and (known is None or known[1] is not None):
                self._active[name] = (now, None)
                self._sent.pop(name, None)
            elif not firing and known is not None and known[1] is None:
                self._active[name] = (known[0], now)
                self._sent.pop(name, None)
            if (active := self._active.get(name)) is None or now - self._sent.get(name, -RESEND) < RESEND:
                continue
            starts_at, ended = active
            if ended is not None and now - ended > RESOLVED_FOR:
                continue
            self._sent[name] = now
            sending.append((name, starts_at, now + FIRING_FOR if ended is None else ended))
        return sending


class Installation:
    """One source: what happens is an event queue over whole seconds."""

    def __init__(self, rng: random.Random, source: str, peers: int) -> None:
        self._rng, self._source = rng, source
        names = rng.sample(["x", "y", "z", "x-other-labels", "x-other-fingerprint"], rng.choice([1, 1, 2, 3]))
        groups = {"g1": frozenset(names)} | ({"g2": frozenset(names[:1])} if rng.random() < 0.25 else {})
        truth = {name: _periods(rng, (5, 1500), (5, 1200)) for name in names}
        self._replicas = [Prometheus(rng, truth) for _ in range(rng.choice([1, 2, 2]))]
        interval = rng.choice([15, 30, 70, 120])
        repeat = rng.choice([100, 300, 900, 5000])
        one_url = rng.random() < 0.5
        self._peers = [
            Alertmanager(
                Sender(f"http://am{source}" if one_url else f"http://am{source}-{place}", f"10.0.0.{place}"),
                place, interval, repeat, groups,
            )
            for place in range(peers)
        ]  # fmt: skip
        self._group_wait = rng.choice([0, 5, 20])
        self._peer_timeout = rng.choice([3, 15])
        self._weather = rng.choice(
            [Weather(0, 0, 0, 0), Weather(0.1, 0.1, 0, 0.1), Weather(0.2, 0.1, 0.15, 0.2), Weather(0, 0, 0.3, 0.5)]
        )
        rare = (300, 4000)
        self._cut = {(p, r): _periods(rng, rare, (30, 900)) for p in range(peers) for r in range(2)}
        self._partition = [(0, LENGTH - CALM)] if rng.random() < 0.25 else _periods(rng, rare, (10, 600))
        self._stopped = {place: _periods(rng, (800, 8000), (20, 600)) for place in range(peers)}
        # Grafana resolves with startsAt = endsAt; other senders' startsAt moves by some seconds.
        self._resolved_start = rng.choice(["kept", "kept", "grafana", "moved"])
        self._events: list[tuple[int, int, Callable[[int], None]]] = []
        self._count = 0
        self._arrived: dict[int, int] = {}
        self._webhooks: list[Webhook] = []

    def run(self) -> Iterable[Webhook]:
        """Simulate until the end; return the webhooks that arrive."""
        for number, replica in enumerate(self._replicas):
            for now in range(replica.phase, LENGTH, EVALUATION):
                self._at(now, partial(self._evaluate, replica, number))
        for place, periods in self._stopped.items():
            for start, _ in periods:
                self._at(start, partial(_restart, self._peers[place]))
        while self._events:
            now, _, happen = heapq.heappop(self._events)
            if now < LENGTH:
                happen(now)
        return self._webhooks

    def _at(self, now: int, happen: Callable[[int], None]) -> None:
        self._count += 1
        heapq.heappush(self._events, (now, self._count, happen))

    def _evaluate(self, replica: Prometheus, number: int, now: int) -> None:
        for name, starts_at, ends_at in replica.evaluate(now):
            for peer in self._peers:
                if _inside(self._cut[peer.position, number], now) or _inside(self._stopped[peer.position], now):
                    continue
                for group in peer.receive(now, name, starts_at, ends_at):
                    self._unless_restarted(now + self._group_wait, peer, partial(self._flush, peer, group))

    def _unless_restarted(self, now: int, peer: Alertmanager, happen: Callable[[int], None]) -> None:
        restarts = peer.restarts
        self._at(now, lambda at: happen(at) if peer.restarts == restarts else None)

    def _flush(self, peer: Alertmanager, group: str, now: int) -> None:
        flush = peer.flush(now, group)
        if not flush.alerts or _inside(self._stopped[peer.position], now):
            return
        wait = peer.position * self._peer_timeout
        self._unless_restarted(now + wait, peer, partial(self._notify, peer, group, flush))

    def _notify(self, peer: Alertmanager, group: str, flush: Flush, now: int) -> None:
        if _inside(self._stopped[peer.position], now):
            return
        if not peer.must_notify(now, group, flush):
            self._finish(now, peer, group, flush)
            return
        calm = now >= LENGTH - CALM
        chance = self._rng.random
        lag = self._rng.randrange(3) if calm or chance() >= self._weather.slow else self._rng.randrange(MAX_LAG)
        lost = not calm and chance() < self._weather.request_lost
        swallowed = not calm and chance() < self._weather.swallowed
        if not lost and not swallowed:
            self._arrive(now + lag, peer, group, flush)
        if lost or (not calm and chance() < self._weather.response_lost):
            if now + lag + 5 <= flush.deadline:
                self._unless_restarted(now + lag + 5, peer, partial(self._notify, peer, group, flush))
            else:
                self._unless_restarted(now + lag + 5, peer, partial(self._flush, peer, group))
            return
        self._unless_restarted(now + lag, peer, partial(self._succeed, peer, group, flush))

    def _succeed(self, peer: Alertmanager, group: str, flush: Flush, now: int) -> None:
        entry = peer.notified(now, group, flush)
        delivered_at = next((end for start, end in self._partition if start <= now < end), now)
        for other in self._peers:
            if other is not peer:
                gossip = delivered_at + self._rng.randrange(3)
                self._at(gossip, partial(_gossip, other, group, entry))
        self._finish(now, peer, group, flush)

    def _finish(self, now: int, peer: Alertmanager, group: str, flush: Flush) -> None:
        peer.finish(group, flush)
        if peer.in_group.get(group):
            at = max(now, flush.at + peer.group_interval)
            self._unless_restarted(at, peer, partial(self._flush, peer, group))

    def _arrive(self, at: int, peer: Alertmanager, group: str, flush: Flush) -> None:
        at = max(at, self._arrived.get(peer.position, 0))
        self._arrived[peer.position] = at
        reports = tuple(self._moved(report) for report in flush.reports())
        self._webhooks.append(Webhook(at, flush.at, self._source, peer.sender, group, reports))

    def _moved(self, report: Report) -> Report:
        if report.ends_at is None or self._resolved_start == "kept":
            return report
        if self._resolved_start == "grafana":
            return Report(report.alert, report.ends_at, report.ends_at)
        moved = min(report.starts_at + self._rng.randrange(-20, 20), report.ends_at)
        return Report(report.alert, moved, report.ends_at)


def _gossip(peer: Alertmanager, group: str, entry: LogEntry, _: int) -> None:
    peer.merge_log(group, entry)


def _restart(peer: Alertmanager, _: int) -> None:
    peer.restart()
