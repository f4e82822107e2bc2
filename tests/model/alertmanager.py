"""An Alertmanager: alerts in groups, flushes, and the notification log that the peers of a pair gossip."""

from dataclasses import dataclass, field

from tests.model.webhooks import Report, Sender


@dataclass(frozen=True)
class LogEntry:
    """What a peer has notified of a group."""

    at: int
    firing: frozenset[str]
    resolved: frozenset[str]


@dataclass
class Held:
    """An alert in memory. It is resolved from `ends_at` on."""

    starts_at: int
    ends_at: int


@dataclass(frozen=True)
class Flush:
    """The state of a group at a flush."""

    at: int
    deadline: int
    alerts: tuple[tuple[str, int, int], ...]

    @property
    def firing(self) -> frozenset[str]:
        """The alerts that fire."""
        return frozenset(name for name, _, ends_at in self.alerts if ends_at > self.at)

    @property
    def resolved(self) -> frozenset[str]:
        """The alerts that are resolved."""
        return frozenset(name for name, _, ends_at in self.alerts if ends_at <= self.at)

    def reports(self) -> tuple[Report, ...]:
        """The alerts as a webhook reports them."""
        return tuple(
            Report(name, starts_at, None if ends_at > self.at else ends_at)
            for name, starts_at, ends_at in self.alerts
        )


@dataclass
class Alertmanager:
    """One process. `position` is its place in the cluster: it notifies after the peers before it."""

    sender: Sender
    position: int
    group_interval: int
    repeat_interval: int
    groups: dict[str, frozenset[str]]
    alerts: dict[str, Held] = field(default_factory=dict)
    in_group: dict[str, set[str]] = field(default_factory=dict)
    log: dict[str, LogEntry] = field(default_factory=dict)
    restarts: int = 0

    def receive(self, now: int, name: str, starts_at: int, ends_at: int) -> list[str]:
        """Take an alert from Prometheus, merged as Alertmanager merges; return the groups that it starts."""
        resolved = ends_at <= now
        held = self.alerts.get(name)
        if held is not None and starts_at < held.ends_at and held.starts_at < ends_at:
            starts_at = min(starts_at, held.starts_at)
            ends_at = ends_at if resolved and held.ends_at > now else max(ends_at, held.ends_at)
        self.alerts[name] = Held(starts_at, ends_at)
        started = []
        for group, names in self.groups.items():
            members = self.in_group.setdefault(group, set())
            if name not in names or (resolved and name not in members):
                continue
            if not members:
                started.append(group)
            members.add(name)
        return started

    def flush(self, now: int, group: str) -> Flush:
        """Take the state of a group."""
        names = sorted(self.in_group.get(group, ()))
        held = tuple((name, self.alerts[name].starts_at, self.alerts[name].ends_at) for name in names)
        return Flush(now, now + self.group_interval, held)

    def must_notify(self, now: int, group: str, flush: Flush) -> bool:
        """Whether the notification log calls for a notification of this state."""
        entry = self.log.get(group)
        if entry is None:
            return bool(flush.firing)
        if flush.firing - entry.firing:
            return True
        if not flush.firing:
            return bool(entry.firing)
        return bool(flush.resolved - entry.resolved) or entry.at <= now - self.repeat_interval

    def notified(self, now: int, group: str, flush: Flush) -> LogEntry:
        """Log a notification that succeeded."""
        entry = LogEntry(now, flush.firing, flush.resolved)
        self.merge_log(group, entry)
        return entry

    def merge_log(self, group: str, entry: LogEntry) -> None:
        """Take an entry of a peer, if it is newer."""
        known = self.log.get(group)
        if known is None or known.at < entry.at:
            self.log[group] = entry

    def finish(self, group: str, flush: Flush) -> None:
        """Remove the alerts that a successful flush has resolved, unless they changed since."""
        for name, starts_at, ends_at in flush.alerts:
            held = self.alerts.get(name)
            if ends_at <= flush.at and held == Held(starts_at, ends_at):
                self.in_group[group].discard(name)

    def restart(self) -> None:
        """Lose what is in memory, and flushes under way; the notification log is on disk."""
        self.restarts += 1
        self.alerts.clear()
        self.in_group.clear()
