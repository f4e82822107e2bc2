"""Statements: named parameters, arrays of structs, and rows as structs."""

import msgspec
import pytest

from relay.store.postgres.statements import DriverConnection, Query, Records, Statement


class Part(msgspec.Struct, frozen=True):
    """A struct to be bound; `positions` differ in length."""

    name: str
    size: int | None
    positions: tuple[int, ...] | None


PARTS = (Part("a", 1, (1, 2)), Part("b", None, ()), Part("c", 3, None))
RECORDS = Records(Part, name="text", size="int", positions="int[]")


class Counted(msgspec.Struct, frozen=True):
    """A row to be read."""

    number: int
    name: str
    positions: tuple[int, ...] | None


COUNTED = Query(
    Counted,
    """
    SELECT p.ordinality + :offset AS number, p.name, p.positions::int[] AS positions, p.size
    FROM :parts WITH ORDINALITY AS p WHERE p.name <> :omitted ORDER BY p.ordinality
    """,
    parts=RECORDS,
)


def test_a_parameter_that_occurs_twice_is_one_argument() -> None:
    statement = Statement("SELECT :a, :b, :a")

    assert statement.sql == "SELECT $1, $2, $1"
    assert statement.arguments({"b": 2, "a": 1}) == [1, 2]


@pytest.mark.parametrize("text", ["SELECT 'at :a'", "SELECT ''':a'", "SELECT x::text", "SELECT '12:mi'::text[]"])
def test_casts_and_string_literals_are_no_parameters(text: str) -> None:
    assert Statement(text).sql == text


def test_comments_are_omitted() -> None:
    statement = Statement("SELECT 1 -- it's :not_a_parameter\n, :a")

    assert statement.sql == "SELECT 1 \n, $1"
    assert statement.arguments({"a": 1}) == [1]


@pytest.mark.parametrize("values", [{}, {"a": 1}, {"a": 1, "b": 2, "c": 3}, {"a": 1, "c": 2}])
def test_missing_and_unknown_parameters_are_rejected(values: dict[str, int]) -> None:
    with pytest.raises(TypeError, match="missing or unknown parameters"):
        Statement("SELECT :a, :b").arguments(values)


def test_unknown_fields_and_unused_records_are_rejected() -> None:
    with pytest.raises(TypeError, match="Part has no field weight"):
        Records(Part, weight="int")
    with pytest.raises(TypeError, match="no parameter parts"):
        Statement("SELECT 1", parts=RECORDS)


def test_the_order_of_fields_and_of_values_does_not_matter() -> None:
    reordered = Statement("SELECT size FROM :parts AS p", parts=Records(Part, size="int", name="text"))

    assert reordered.sql == "SELECT size FROM unnest($1::int[], $2::text[]) AS p (size, name)"
    assert reordered.arguments({"parts": PARTS}) == [[1, None, 3], ["a", "b", "c"]]


async def test_rows_are_read_by_the_names_of_their_columns(driver: DriverConnection) -> None:
    counted = await COUNTED.fetch(driver, omitted="b", parts=PARTS, offset=10)

    assert counted == [Counted(11, "a", (1, 2)), Counted(13, "c", None)]
    assert await COUNTED.fetch_one(driver, omitted="a", parts=PARTS[:2], offset=0) == Counted(2, "b", ())
    assert await COUNTED.fetch_one(driver, omitted="a", parts=[], offset=0) is None


async def test_the_number_of_written_rows_is_returned(driver: DriverConnection) -> None:
    await driver.execute("CREATE TEMPORARY TABLE kept (name text)")

    assert await Statement("INSERT INTO kept SELECT name FROM :parts AS p", parts=RECORDS).execute(
        driver, parts=PARTS
    ) == len(PARTS)
    assert await Statement("DELETE FROM kept WHERE name > :name").execute(driver, name="a") == 2
