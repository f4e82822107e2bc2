"""Pages with budgets of several dimensions."""

from relay.notify.text.pagination import Pages


def cost(part: str) -> tuple[int, int]:
    """Characters, and one block for each part."""
    return len(part), 1


def test_a_part_that_exceeds_any_dimension_starts_the_next_page() -> None:
    pages = Pages([(10, 2), (10, 2), (10, 2)], cost)
    assert pages.fill(["aaaa", "bbbb", "c", "dddddddddd"]) == 4
    assert pages.pages == [["aaaa", "bbbb"], ["c"], ["dddddddddd"]]
    assert pages.remaining == (0, 1)


def test_filling_ends_at_the_first_part_that_fits_no_page() -> None:
    pages = Pages([(10, 9), (10, 9)], cost)
    assert pages.fill(["a" * 6, "b" * 6, "c" * 6, "d"]) == 2
    assert pages.pages == [["a" * 6], ["b" * 6]]


def test_a_part_larger_than_the_next_page_is_not_added_and_starts_no_page() -> None:
    pages = Pages([(10, 9), (4, 9)], cost)
    assert pages.add("a" * 8)
    assert not pages.add("b" * 5)
    assert pages.pages == [["a" * 8]]
    assert pages.add("cc")
    assert pages.pages == [["a" * 8, "cc"]]


def test_a_reserve_extends_only_the_last_page() -> None:
    pages = Pages([(10, 9), (4, 9)], cost)
    pages.add("a" * 8)
    pages.extend((3, 0))
    assert pages.remaining == (2, 8)
    assert pages.add("b" * 7)
    assert pages.pages == [["a" * 8], ["b" * 7]]


def test_a_reserve_extends_the_current_page_if_it_is_the_last() -> None:
    pages = Pages([(10, 9)], cost)
    pages.add("a" * 8)
    assert not pages.add("b" * 5)
    pages.extend((3, 0))
    assert pages.add("b" * 5)
