"""Grapheme boundaries: the positions at which text may be cut.

This follows https://www.unicode.org/reports/tr29/#Grapheme_Cluster_Boundary_Rules. Where those rules need tables
that Python lacks, this joins more characters than they do. It joins fewer only after the few characters that
precede numbers in Arabic and some Indic scripts.
"""

import unicodedata
from typing import Final

MAX_GRAPHEME: Final = 32
"""Code points of a grapheme that is kept whole. Longer ones are piles of combining marks and unreadable."""
FIRST_COMBINING: Final = "\u0300"
"""The first character that joins the one before it, other than a line feed."""
ZERO_WIDTH_JOINER: Final = "\u200d"
MARKS: Final = frozenset({"Mn", "Mc", "Me"})
VIRAMA: Final = 9
"""The combining class of the characters that join two letters of an Indic script."""

THAI_AND_LAO_AM: Final = "\u0e33\u0eb3"
"""Letters by their category, but part of the syllable before them."""

_joiners = frozenset("\u200c\u200d\uff9e\uff9f" + THAI_AND_LAO_AM)
_flags = range(0x1F1E6, 0x1F200)
_skin_tones = range(0x1F3FB, 0x1F400)
_tags = range(0xE0020, 0xE0080)
_hangul_first = (range(0x1100, 0x1160), range(0xA960, 0xA97D))
_hangul_later = (range(0x1160, 0x1200), range(0xD7B0, 0xD7FC))
_hangul_whole = (range(0xAC00, 0xD7A4),)


def floor_boundary(text: str, index: int) -> int:
    """The last grapheme boundary at or before an index."""
    for position in range(index, max(index - MAX_GRAPHEME, 0), -1):
        if position >= len(text) or not _is_joined(text, position):
            return position
    return index if index > MAX_GRAPHEME else 0


def ceil_boundary(text: str, index: int) -> int:
    """The first grapheme boundary at or after an index."""
    for position in range(index, min(index + MAX_GRAPHEME, len(text))):
        if position <= 0 or not _is_joined(text, position):
            return position
    return index if index + MAX_GRAPHEME < len(text) else len(text)


def _is_joined(text: str, index: int) -> bool:
    """Whether the characters before and after a position belong to one grapheme."""
    before, after = text[index - 1], text[index]
    if after < FIRST_COMBINING:
        return before == "\r" and after == "\n"
    return (
        before == ZERO_WIDTH_JOINER
        or after in _joiners
        or ord(after) in _skin_tones
        or ord(after) in _tags
        or unicodedata.category(after) in MARKS
        or _in_one_flag(text, index)
        or _in_one_syllable(before, after)
    )


def _in_one_flag(text: str, index: int) -> bool:
    """A flag is a pair of letters; pairs are counted from the start of the sequence."""
    if ord(text[index]) not in _flags:
        return False
    start = index
    while start > 0 and ord(text[start - 1]) in _flags:
        start -= 1
    return (index - start) % 2 == 1


def _in_one_syllable(before: str, after: str) -> bool:
    if unicodedata.combining(before) == VIRAMA:
        return unicodedata.category(after) == "Lo"
    if _in_ranges(before, _hangul_first):
        return _in_ranges(after, _hangul_first + _hangul_later + _hangul_whole)
    return _in_ranges(after, _hangul_later) and _in_ranges(before, _hangul_later + _hangul_whole)


def _in_ranges(character: str, ranges: tuple[range, ...]) -> bool:
    return any(ord(character) in block for block in ranges)
