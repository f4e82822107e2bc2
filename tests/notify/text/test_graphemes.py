"""Cutting of text between graphemes."""

import pytest

from relay.notify.text.graphemes import MAX_GRAPHEME, ceil_boundary, floor_boundary
from relay.notify.text.markup import escape_markdown as escape
from relay.notify.text.plain_text import cut, fit
from relay.notify.text.summary import shorten_middle

GRAPHEMES = {
    "a letter and its accent": "e\u0301",
    "an accent upon an accent": "o\u0302\u0323",
    "a family": "👩‍👩‍👧‍👦",
    "a skin tone": "👍🏽",
    "a profession with a skin tone": "👩🏽‍🚒",
    "a flag": "🇩🇪",
    "a flag of tags": "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
    "a presentation": "❤️",
    "a keycap": "1️⃣",
    "a line's end": "\r\n",
    "a Devanagari conjunct": "क्षि",
    "a Tamil vowel": "நி",
    "a Thai vowel": "กำ",
    "a Hebrew point": "שׁ",
    "decomposed Korean": "\u1112\u1161\u11ab",
    "half decomposed Korean": "하\u11ab",
}


@pytest.mark.parametrize("text", GRAPHEMES.values(), ids=GRAPHEMES.keys())
@pytest.mark.parametrize("before", ["", "x", "🔥", "🇫🇷"])
def test_a_grapheme_is_not_split(text: str, before: str) -> None:
    context = before + text + "x"
    start, end = len(before), len(before + text)
    for at in range(start + 1, end):
        assert (floor_boundary(context, at), ceil_boundary(context, at)) == (start, end)
    for at in (0, start, end, len(context)):
        assert (floor_boundary(context, at), ceil_boundary(context, at)) == (at, at)


@pytest.mark.parametrize("text", ["ab", "磁盘", "🔥🔥", "\n\r", "تن", "🇩🇪🇫🇷"])
def test_text_may_be_cut_between_two_graphemes(text: str) -> None:
    middle = len(text) // 2
    assert floor_boundary(text, middle) == ceil_boundary(text, middle) == middle


@pytest.mark.parametrize("text", GRAPHEMES.values(), ids=GRAPHEMES.keys())
def test_cut_text_ends_with_a_whole_grapheme(text: str) -> None:
    for limit in range(2, 40):
        result = cut(text * 40, limit)
        assert len(result) <= limit
        assert result.removesuffix("…") == (text * (result.count(text))).rstrip()


def test_endless_combining_marks_are_cut() -> None:
    pile = "e" + "\u0301" * 5000
    assert len(cut(pile, 1000)) == 1000
    assert floor_boundary(pile, 10) == 0
    assert floor_boundary(pile, MAX_GRAPHEME + 1) == MAX_GRAPHEME + 1


def test_an_escape_sequence_is_not_split() -> None:
    for limit in range(1, 30):
        result = fit("*_" * 40, limit, escape)
        assert len(result) <= limit
        assert result == "\\*\\_" * 40 or result.removesuffix("…").replace("\\*", "").replace("\\_", "") == ""


@pytest.mark.parametrize("limit", [-5, 0, 1, 2])
def test_text_without_room_is_omitted(limit: int) -> None:
    assert len(fit("word", limit)) <= max(limit, 0)


def test_the_size_may_be_measured_in_bytes() -> None:
    for limit in range(3, 40):
        result = fit("é🔥" * 40, limit, size=lambda text: len(text.encode()))
        assert limit - 6 < len(result.encode()) <= limit


def test_a_name_shortened_in_the_middle_keeps_whole_graphemes() -> None:
    for limit in range(12, 40):
        result = shorten_middle("👩‍👩‍👧‍👦" * 20, limit)
        assert len(result) <= limit
        assert result.replace("👩‍👩‍👧‍👦", "") == "…"
