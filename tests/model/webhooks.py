"""The webhooks of a history, as a sender reports them and the relay receives them. Times are whole seconds."""

from dataclasses import dataclass
from typing import Final

ALERTS: Final[dict[str, tuple[str, str]]] = {
    "x": ("f1", "x"),
    "y": ("f2", "y"),
    "z": ("f3", "z"),
    "x-other-labels": ("f1", "x2"),
    "x-other-fingerprint": ("f4", "x"),
}
"""The alerts of all histories: fingerprint and the value of a label. Each is a series of its own."""


@dataclass(frozen=True)
class Sender:
    """One Alertmanager process, as the relay sees it."""

    external_url: str
    address: str


@dataclass(frozen=True)
class Report:
    """One alert of a webhook. `ends_at` is None while it fires."""

    alert: str
    starts_at: int
    ends_at: int | None = None

    @property
    def firing(self) -> bool:
        """Whether it is reported as firing."""
        return self.ends_at is None


@dataclass(frozen=True)
class Webhook:
    """A webhook that arrives at `at`. `sent_at` is when its sender took the state of the alerts."""

    at: float
    sent_at: int
    source: str
    sender: Sender
    group: str
    reports: tuple[Report, ...]

    def __str__(self) -> str:
        """One line of a history."""
        alerts = "  ".join(
            f"{report.alert} firing since {report.starts_at}"
            if report.ends_at is None
            else f"{report.alert} resolved {report.starts_at}..{report.ends_at}"
            for report in self.reports
        )
        source = f"?source={self.source} " if self.source else ""
        return f"{self.at:5d} {source}{self.sender.external_url}@{self.sender.address} {self.group}: {alerts}"


@dataclass(frozen=True)
class History:
    """Webhooks in the order in which they arrive; reproducible from its seed.

    `realistic`: a simulated installation sent it, so that no alert may be left firing.
    """

    seed: str
    webhooks: tuple[Webhook, ...]
    realistic: bool

    def __str__(self) -> str:
        """The history as text."""
        return "\n".join([f"history {self.seed}", *map(str, self.webhooks)])
