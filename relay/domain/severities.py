"""How severe a value of the label `severity` is, in the words of Alertmanager's users and of other systems.

The table decides colors and ranks. Labels are stored and shown as they are, and filters compare them.
"""

from collections.abc import Mapping
from typing import Final

from relay.domain.errors import SettingsError

SEVERITY_ORDER: Final = ("critical", "error", "warning", "info")
"""The usual severities, most severe first."""
_WORDS: Final = {
    "critical": "crit page fatal emergency emerg alert disaster blocker urgent severe p0 p1 sev0 sev1 s1 1",
    "error": "err high major p2 sev2 s2 2",
    "warning": "warn medium moderate minor average p3 sev3 s3 3",
    "info": "information informational notice low debug trace ok none normal p4 p5 sev4 sev5 s4 s5 4 5",
}
COMMON: Final[Mapping[str, str]] = {
    word: severity for severity, words in _WORDS.items() for word in (severity, *words.split())
}
"""Values of other systems, in lower case, and the usual severity that each is like."""

SEVERITY: Final = "severity"
FOLDED_SEVERITY: Final = "\0severity"
"""Stands for the label `severity` in lower case; no label has this name, which Postgres can't store."""

_extended: dict[str, str] = dict(COMMON)


def extend_table(others: Mapping[str, str]) -> None:
    """Replace the additions to the table of this process."""
    _extended.clear()
    _extended.update(COMMON)
    _extended.update(others)


def parse_table(text: str) -> dict[str, str]:
    """Parse additions such as `gold=critical,silver=warning`.

    Raises:
        SettingsError: an entry names none of SEVERITY_ORDER.
    """
    found = {}
    for entry in filter(None, (part.strip() for part in text.split(","))):
        value, _, severity = (part.strip().casefold() for part in entry.partition("="))
        if not value or severity not in SEVERITY_ORDER:
            allowed = ", ".join(SEVERITY_ORDER)
            raise SettingsError(f"RELAY_SEVERITIES: {entry!r} must be VALUE=SEVERITY, with one of {allowed}")
        found[value] = severity
    return found


def level_of(severity: str) -> str:
    """The usual severity that a value is like; empty if the table has none for it."""
    return _extended.get(severity.strip().casefold(), "")


def severity_rank(severity: str) -> int:
    """The position in SEVERITY_ORDER, 0 for the most severe; values that the table lacks come last."""
    level = level_of(severity)
    return SEVERITY_ORDER.index(level) if level else len(SEVERITY_ORDER)


def is_critical(severity: str) -> bool:
    """Whether a severity has the highest rank."""
    return severity_rank(severity) == 0


def known_ranks() -> dict[str, int]:
    """All values of the table, in lower case, with their ranks."""
    return {value: SEVERITY_ORDER.index(severity) for value, severity in _extended.items()}


def folded(severity: str) -> str:
    """A value as it is counted: one of SEVERITY_ORDER in lower case, any other as it is."""
    lowered = severity.casefold()
    return lowered if lowered in SEVERITY_ORDER else severity


def label_value(labels: Mapping[str, str], label: str) -> str:
    """The value of a label, also of FOLDED_SEVERITY; empty if it is absent."""
    if label == FOLDED_SEVERITY:
        return labels.get(SEVERITY, "").casefold()
    return labels.get(label, "")
