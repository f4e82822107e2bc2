"""What the owner of a channel should know of it."""

from collections.abc import Iterator, Sequence, Set

from relay.domain.channel_types import CHANNEL_CLASSES, type_name
from relay.domain.matchers import MAX_LENGTH, is_too_long_in_quotes
from relay.domain.severities import SEVERITY_ORDER


def caveats_of_type(channel_type: str) -> tuple[str, ...]:
    """The limitations of a type; none for a type that this release does not know."""
    return next((known.CAVEATS for known in CHANNEL_CLASSES if type_name(known) == channel_type), ())


def caveats_of_matchers(entries: Sequence[str]) -> Iterator[str]:
    """Name the entries that only the support of an earlier syntax keeps working."""
    for at, entry in enumerate(entries):
        if is_too_long_in_quotes(entry):
            yield (
                f"matchers[{at}] is in the syntax of an earlier release, and too long in the present one; "
                f"replace it by one of at most {MAX_LENGTH} characters."
            )


def caveats_of_severities(values: Sequence[str], seen: Set[str]) -> Iterator[str]:
    """Name the values that probably match nothing; `seen` has those of recent alerts in lower case."""
    for at, value in enumerate(values):
        if "," in value:
            yield f"severities[{at}] is one value with a comma, {value!r}; list several values one by one."
        elif seen and value.casefold() not in seen and value.casefold() not in SEVERITY_ORDER:
            yield f"severities[{at}]: no recent alert has the severity {value!r}."
