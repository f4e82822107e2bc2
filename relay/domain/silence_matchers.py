"""The matchers of silences in requests and responses, as objects or as texts.

https://github.com/prometheus/alertmanager/blob/main/api/v2/openapi.yaml
"""

from collections.abc import Iterable
from typing import Final

import msgspec

from relay.domain.errors import InvalidInput
from relay.domain.matchers import (
    REGULAR,
    Matcher,
    Op,
    matches_pattern,
    parse_matchers,
    require_small_program,
    require_valid_pattern,
)

MAX_MATCHERS: Final = 100
_OPERATORS: Final = {
    (False, True): Op.EQUAL,
    (False, False): Op.NOT_EQUAL,
    (True, True): Op.MATCHES,
    (True, False): Op.NOT_MATCHES,
}
"""By `is_regex` and `is_equal`."""


class SilenceMatcher(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """A matcher as Alertmanager's API has it. `isEqual` false negates it; a regular expression is anchored."""

    name: str
    value: str
    is_regex: bool = False
    is_equal: bool = True


GivenMatchers = tuple[SilenceMatcher | str, ...] | str
"""Objects, or texts such as `team=~"db|infra"` with one or more matchers each, or one text."""


def silence_matchers(given: GivenMatchers) -> tuple[Matcher, ...]:
    """Parse the matchers of a silence and check that they do not match everything.

    Raises:
        InvalidInput: one is invalid, there are too many, or all match the empty string; names the field.
    """
    matchers: list[Matcher] = []
    for field, one in _with_fields(given):
        matchers += _parsed(field, one)
        if len(matchers) > MAX_MATCHERS:
            raise InvalidInput("matchers", f"must not be more than {MAX_MATCHERS}")
    if not matchers:
        raise InvalidInput("matchers", "should have at least 1 items")
    if all(map(_matches_empty, matchers)):
        raise InvalidInput("matchers", "at least one matcher must not match the empty string")
    return tuple(matchers)


def shown_matchers(matchers: Iterable[Matcher]) -> tuple[SilenceMatcher, ...]:
    """The matchers as Alertmanager's API has them."""
    return tuple(
        SilenceMatcher(
            name=one.name,
            value=one.value,
            is_regex=one.op in REGULAR,
            is_equal=one.op in (Op.EQUAL, Op.MATCHES),
        )
        for one in matchers
    )


def _with_fields(given: GivenMatchers) -> Iterable[tuple[str, SilenceMatcher | str]]:
    if isinstance(given, str):
        return [("matchers", given)]
    return [(f"matchers[{at}]", one) for at, one in enumerate(given)]


def _parsed(field: str, given: SilenceMatcher | str) -> tuple[Matcher, ...]:
    """Parse one entry; only regular expressions that are quick to match are accepted."""
    try:
        if isinstance(given, str):
            matchers = parse_matchers(given)
        else:
            if not given.name:
                raise InvalidInput("name", "must not be empty")
            matchers = (Matcher(given.name, _OPERATORS[given.is_regex, given.is_equal], given.value),)
            require_valid_pattern(matchers[0], str(matchers[0]))
        for matcher in matchers:
            require_small_program(matcher)
    except InvalidInput as error:
        raise InvalidInput(".".join(filter(None, (field, error.field))), error.message) from None
    return matchers


def _matches_empty(matcher: Matcher) -> bool:
    """Whether a matcher requires nothing. A negative one counts as requiring something, as in Alertmanager."""
    if matcher.op is Op.EQUAL:
        return not matcher.value
    return matcher.op is Op.MATCHES and matches_pattern(matcher.value, "")
