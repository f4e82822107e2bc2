"""Template filters for numbers."""

import math
from typing import Any, Final

MULTIPLES: Final = ("", "k", "M", "G", "T", "P", "E", "Z", "Y")
FRACTIONS: Final = ("", "m", "u", "n", "p", "f", "a", "z", "y")
DIGITS: Final = 4
"""Significant digits, as in Prometheus's `humanize`: https://prometheus.io/docs/prometheus/latest/configuration/template_reference/"""


def humanize(value: Any) -> str:
    """A number with a metric prefix: `1.5k`, `1.5M`, `20m`.

    Raises:
        ValueError: the value is not a number.
    """
    number = float(value)
    if number == 0 or not math.isfinite(number):
        return go_number(number)
    prefixes, step = (MULTIPLES, 1 / 1000) if abs(number) >= 1 else (FRACTIONS, 1000)
    power = 0
    while power + 1 < len(prefixes) and (abs(number) >= 1000 if step < 1 else abs(number) < 1):
        number, power = number * step, power + 1
    return go_number(number) + prefixes[power]


def go_number(number: float) -> str:
    """A number with four digits as Go prints it: with `+Inf`, `-Inf` and `NaN`."""
    if math.isnan(number):
        return "NaN"
    if math.isinf(number):
        return "+Inf" if number > 0 else "-Inf"
    return f"{number:.{DIGITS}g}"


def is_number(value: Any) -> bool:
    """Whether a value is a number, or the text of one."""
    try:
        float(value)
    except (ValueError, TypeError):
        return False
    return True
