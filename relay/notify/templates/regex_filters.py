"""Template filters for regular expressions, which are RE2's, as in Alertmanager's templates.

https://github.com/google/re2/wiki/Syntax
"""

import re
from functools import cache, lru_cache
from typing import Any, Final

import re2

from relay.notify.text.plain_text import cut

MAX_PATTERN: Final = 1000
MAX_PROGRAM: Final = 2000
"""RE2 instructions of a pattern, on which the time of a match depends."""
MEMORY: Final = 1 << 20
"""Bytes that RE2 may use for one pattern."""
MAX_TEXT: Final = 16 * 1024
"""Characters of a text that are matched and kept; a message shows no more."""
MAX_RESULT: Final = 256 * 1024
MAX_CACHED: Final = 256

_reference = re.compile(r"\$(?:\$|(?P<plain>\w+)|\{(?P<braced>\w+)\})", re.ASCII)


def regex_match(value: Any, pattern: str) -> bool:
    """Whether the pattern matches anywhere in the text.

    Raises:
        ValueError: the pattern is invalid or too large.
    """
    return _compile(pattern).search(str(value)[:MAX_TEXT]) is not None


def regex_replace(value: Any, pattern: str, replacement: str) -> str:
    """The text with all matches replaced. `$1`, `${1}` and `${name}` are groups, and `$$` is a dollar sign.

    Raises:
        ValueError: the pattern is invalid or too large, or the result is too long.
    """
    size = 0

    def expand(match: Any) -> str:
        nonlocal size
        expanded = _reference.sub(lambda found: _group(match, found), replacement)
        size += len(expanded)
        if size > MAX_RESULT:
            raise ValueError(f"the replacements are longer than {MAX_RESULT} characters")
        return expanded

    replaced: str = _compile(pattern).sub(expand, cut(str(value), MAX_TEXT))
    return replaced


def _group(match: Any, reference: re.Match[str]) -> str:
    """The text of a group; empty if there is no such group or it matched nothing, as in Go."""
    name = reference["plain"] or reference["braced"]
    if name is None:
        return "$"
    number = int(name) if name.isdecimal() else match.re.groupindex.get(name, -1)
    return (match.group(number) or "") if 0 <= number <= match.re.groups else ""


@cache
def _options() -> Any:
    options = re2.Options()
    options.log_errors = False
    options.max_mem = MEMORY
    return options


@lru_cache(maxsize=MAX_CACHED)
def _compile(pattern: str) -> Any:
    if len(pattern) > MAX_PATTERN:
        raise ValueError(f"the regular expression is longer than {MAX_PATTERN} characters")
    try:
        compiled = re2.compile(pattern, _options())
    except re2.error as error:
        reason = error.args[0] if error.args else ""
        text = reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)
        raise ValueError(f"the regular expression {pattern!r} is invalid: {text}") from None
    if compiled.programsize > MAX_PROGRAM:
        raise ValueError(f"the regular expression has more than {MAX_PROGRAM} instructions")
    return compiled
