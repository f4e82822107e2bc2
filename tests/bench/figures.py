"""The result of a measurement: a ratio or a time with its bound, and the absolute amounts behind it."""

import statistics
from dataclasses import dataclass
from typing import NamedTuple


class Amount(NamedTuple):
    """An absolute amount behind a figure, which two checkouts are compared by: a rate, or a time."""

    name: str
    value: float
    is_rate: bool = False


@dataclass(frozen=True)
class Figure:
    """A ratio or a time with its bound (None: informational), a detail text, and the amounts behind it."""

    name: str
    value: float
    detail: str
    at_least: float | None = None
    at_most: float | None = None
    amounts: tuple[Amount, ...] = ()

    @property
    def holds(self) -> bool:
        """Whether the value is within its bound."""
        low = self.at_least is None or self.value >= self.at_least
        high = self.at_most is None or self.value <= self.at_most
        return low and high

    def __str__(self) -> str:
        bounds = [f"at least {self.at_least:g}"] if self.at_least is not None else []
        bounds += [f"at most {self.at_most:g}"] if self.at_most is not None else []
        verdict = ("  ok" if self.holds else "MISS") if bounds else "    "
        return f"{verdict}  {self.name:<58} {self.value:8.2f}  {', '.join(bounds):<14} {self.detail}"


def quantile(values: list[float], share: float) -> float:
    """The value below or at which `share` of all values lie."""
    return statistics.quantiles(values, n=1000, method="inclusive")[round(share * 1000) - 1]
