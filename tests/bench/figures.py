"""What does a measurement say, and does it hold?"""

import statistics
from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """A ratio or a time, with its bound (None: for information), and in words what is behind it."""

    name: str
    value: float
    behind: str
    at_least: float | None = None
    at_most: float | None = None

    @property
    def holds(self) -> bool:
        """Whether the bound is kept."""
        low = self.at_least is None or self.value >= self.at_least
        high = self.at_most is None or self.value <= self.at_most
        return low and high

    def __str__(self) -> str:
        bounds = [f"at least {self.at_least:g}"] if self.at_least is not None else []
        bounds += [f"at most {self.at_most:g}"] if self.at_most is not None else []
        verdict = ("  ok" if self.holds else "MISS") if bounds else "    "
        return f"{verdict}  {self.name:<58} {self.value:8.2f}  {', '.join(bounds):<14} {self.behind}"


def quantile(values: list[float], share: float) -> float:
    """The value that `share` of all are not above."""
    return statistics.quantiles(values, n=1000, method="inclusive")[round(share * 1000) - 1]
