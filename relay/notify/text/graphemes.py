"""Where may text be cut, so that nothing that people see as one character is broken?

After Unicode's grapheme clusters: https://www.unicode.org/reports/tr29/#Grapheme_Cluster_Boundary_Rules. Where
those want tables that Python has not, this keeps more together than they do; less only after the few signs that
are written before numbers, in Arabic and some Indic scripts.
"""

import unicodedata
from typing import Final

LONGEST: Final = 32
"""Code points of a cluster that is kept whole; a longer one is a pile of marks that nobody reads."""
FIRST_MARK: Final = "\u0300"
"""The first character that joins another one, but for a line's end."""
ZERO_WIDTH_JOINER: Final = "\u200d"
MARKS: Final = frozenset({"Mn", "Mc", "Me"})
VIRAMA: Final = 9
"""The combining class of the sign that joins two letters of an Indic script to one."""

THAI_AND_LAO_AM: Final = "\u0e33\u0eb3"
"""Letters by their category, and yet parts of the syllable before."""

_joiners = frozenset("\u200c\u200d\uff9e\uff9f" + THAI_AND_LAO_AM)
_flags = range(0x1F1E6, 0x1F200)
_skin_tones = range(0x1F3FB, 0x1F400)
_tags = range(0xE0020, 0xE0080)
_hangul_first = (range(0x1100, 0x1160), range(0xA960, 0xA97D))
_hangul_later = (range(0x1160, 0x1200), range(0xD7B0, 0xD7FC))
_hangul_whole = (range(0xAC00, 0xD7A4),)


def start_of(text: str, at: int) -> int:
    """The last place at or before `at` where the text may be cut."""
    for place in range(at, max(at - LONGEST, 0), -1):
        if place >= len(text) or not _joined(text, place):
            return place
    return at if at > LONGEST else 0


def end_of(text: str, at: int) -> int:
    """The first place at or after `at` where the text may be cut."""
    for place in range(at, min(at + LONGEST, len(text))):
        if place <= 0 or not _joined(text, place):
            return place
    return at if at + LONGEST < len(text) else len(text)


def _joined(text: str, at: int) -> bool:
    """Whether the characters on both sides of a place are seen as one."""
    before, after = text[at - 1], text[at]
    if after < FIRST_MARK:
        return before == "\r" and after == "\n"
    return (
        before == ZERO_WIDTH_JOINER
        or after in _joiners
        or ord(after) in _skin_tones
        or ord(after) in _tags
        or unicodedata.category(after) in MARKS
        or _one_flag(text, at)
        or _one_syllable(before, after)
    )


def _one_flag(text: str, at: int) -> bool:
    """Flags are pairs of letters, told apart by counting from where they begin."""
    if ord(text[at]) not in _flags:
        return False
    start = at
    while start > 0 and ord(text[start - 1]) in _flags:
        start -= 1
    return (at - start) % 2 == 1


def _one_syllable(before: str, after: str) -> bool:
    if unicodedata.combining(before) == VIRAMA:
        return unicodedata.category(after) == "Lo"
    if _is(before, _hangul_first):
        return _is(after, _hangul_first + _hangul_later + _hangul_whole)
    return _is(after, _hangul_later) and _is(before, _hangul_later + _hangul_whole)


def _is(character: str, ranges: tuple[range, ...]) -> bool:
    return any(ord(character) in one for one in ranges)
