"""SQL statements with named parameters, run on the driver's own connection."""

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from operator import attrgetter
from typing import Any, Final, Generic, Literal, Protocol, TypeVar

import msgspec

RowStruct = TypeVar("RowStruct", bound=msgspec.Struct)
Row = Mapping[str, Any]

# String literals, comments and casts come first, so that a colon in them starts no parameter.
_TOKEN: Final = re.compile(
    r"'(?:[^']|'')*'|--[^\n]*|::|:(?P<name>[a-z_][a-z0-9_]*)(?P<table> (?:WITH ORDINALITY )?AS [a-z_]+)?"
)


class DriverConnection(Protocol):
    """The methods of an asyncpg connection that the relay uses."""

    async def fetch(self, query: str, /, *arguments: object) -> Sequence[Row]:
        """Run a statement and return its rows."""

    async def fetchrow(self, query: str, /, *arguments: object) -> Row | None:
        """Run a statement and return its first row."""

    async def fetchval(self, query: str, /, *arguments: object) -> Any:
        """Run a statement and return the first column of its first row."""

    async def execute(self, query: str, /, *arguments: object) -> str:
        """Run a statement and return its status, such as `UPDATE 3`."""

    def transaction(
        self, *, isolation: Literal["repeatable_read"] | None = None
    ) -> AbstractAsyncContextManager[object]:
        """Open a transaction that commits at the end of the block, or rolls back when it raises.

        With `isolation`, all its statements read what was committed before the first.
        """

    async def add_listener(self, channel: str, callback: Callable[[Any, int, str, str], None], /) -> None:
        """Call back with each notification of a channel."""

    def add_termination_listener(self, callback: Callable[[Any], None], /) -> None:
        """Call back when the connection ends."""

    def is_closed(self) -> bool:
        """Return whether the connection has ended."""

    def terminate(self) -> None:
        """Close the connection without waiting for the server."""


_encoder: Final = msgspec.json.Encoder()


class Records:
    """Many structs as one parameter of a statement: an array for each field.

    `FROM :alerts AS a` in a statement becomes `FROM unnest(…) AS a (…)` with a column for each field; `WITH
    ORDINALITY` adds the column `ordinality`, which counts from 1.

    Postgres has no arrays of arrays that differ in length, so that a field of an array type is bound as the text
    of an array, which the statement casts (`a.positions::int[]`).
    """

    def __init__(self, struct: type[msgspec.Struct], **types: str) -> None:
        """Bind the fields of `struct` that `types` names, as the Postgres types that it gives.

        Raises:
            TypeError: the struct has no such field.
        """
        if unknown := types.keys() - set(struct.__struct_fields__):
            raise TypeError(f"{struct.__name__} has no field {', '.join(sorted(unknown))}")
        self.columns: Final = tuple(types)
        self._types: Final = types
        self._fields: Final = [(attrgetter(name), types[name].endswith("[]")) for name in types]

    @property
    def size(self) -> int:
        """How many parameters of the driver they are."""
        return len(self.columns)

    def table(self, first: int, name: str) -> str:
        """Return the table, with parameters from `first`; `name` is ` AS a` or ` WITH ORDINALITY AS a`."""
        types = ["text" if of.endswith("[]") else of for of in self._types.values()]
        arrays = ", ".join(f"${number}::{of}[]" for number, of in enumerate(types, start=first))
        return f"unnest({arrays}){name} ({', '.join(self.columns)})"

    def arguments(self, structs: Sequence[msgspec.Struct]) -> list[Any]:
        """Return the arrays, in the order of `columns`."""
        return [
            [_array_text(value) for value in map(field, structs)] if is_array else list(map(field, structs))
            for field, is_array in self._fields
        ]


class JsonRecords(Records):
    """Many structs as one parameter of a statement: their JSON, with arrays and objects as the fields have them.

    For structs of many fields. To encode so many arrays takes the driver three times as long; it looks at each
    number and time twice.
    """

    size = 1

    def table(self, first: int, name: str) -> str:
        """Return the table."""
        columns = ", ".join(f"{column} {of}" for column, of in self._types.items())
        return f"ROWS FROM (json_to_recordset(${first}::json) AS ({columns})){name}"

    def arguments(self, structs: Sequence[msgspec.Struct]) -> list[Any]:
        """Return the JSON."""
        return [_encoder.encode(structs).decode()]


class Statement:
    """SQL with `:name` parameters, which are numbered once, when the statement is defined."""

    def __init__(self, text: str, **records: Records) -> None:
        """Compile `text`; `records` describes the parameters that are sequences of structs.

        Raises:
            TypeError: the text has no such parameter.
        """
        self._records: Final = records
        self._positions: Final[dict[str, int]] = {}
        self._size = 0
        self.sql: Final = _TOKEN.sub(self._compile, text)
        if unused := records.keys() - self._positions.keys():
            raise TypeError(f"the statement has no parameter {', '.join(sorted(unused))}")

    def _compile(self, token: re.Match[str]) -> str:
        name, table = token["name"], token["table"] or ""
        if name is None:
            return "" if token[0].startswith("--") else token[0]
        records = self._records.get(name)
        first = self._positions.setdefault(name, self._size + 1)
        if first > self._size:
            self._size += 1 if records is None else records.size
        return f"${first}{table}" if records is None else records.table(first, table)

    def arguments(self, values: Mapping[str, Any]) -> list[Any]:
        """Return the driver's positional arguments.

        Raises:
            TypeError: a parameter is missing, or one is not in the statement.
        """
        if values.keys() != self._positions.keys():
            wrong = ", ".join(sorted(values.keys() ^ self._positions.keys()))
            raise TypeError(f"missing or unknown parameters of a statement: {wrong}")
        arguments: list[Any] = []
        for name in self._positions:
            records = self._records.get(name)
            if records is None:
                arguments.append(values[name])
            else:
                arguments += records.arguments(values[name])
        return arguments

    async def rows(self, connection: DriverConnection, /, **values: Any) -> Sequence[Row]:
        """Run the statement and return its rows as they are."""
        return await connection.fetch(self.sql, *self.arguments(values))

    async def execute(self, connection: DriverConnection, /, **values: Any) -> int:
        """Run the statement and return how many rows it wrote."""
        status = await connection.execute(self.sql, *self.arguments(values))
        return int(status.rpartition(" ")[2])


class Query(Statement, Generic[RowStruct]):
    """A statement whose rows are read into structs, by the columns' names."""

    def __init__(self, row: type[RowStruct], text: str, **records: Records) -> None:
        """Compile `text`, as a Statement does; columns that are no field of `row` are ignored."""
        super().__init__(text, **records)
        self._row: Final = row

    async def fetch(self, connection: DriverConnection, /, **values: Any) -> list[RowStruct]:
        """Run the statement and return its rows."""
        return [read(row, self._row) for row in await self.rows(connection, **values)]

    async def fetch_one(self, connection: DriverConnection, /, **values: Any) -> RowStruct | None:
        """Run the statement and return its only row, or None."""
        row = await connection.fetchrow(self.sql, *self.arguments(values))
        return None if row is None else read(row, self._row)


def read(row: Row, struct: type[RowStruct]) -> RowStruct:
    """Return a row as a struct; columns that are no field of it are ignored."""
    return msgspec.convert(dict(row), struct)


def read_row(row: Any, struct: type[RowStruct], **computed: Any) -> RowStruct:
    """Return a row of SQLAlchemy as a struct; `computed` has the fields that are no columns."""
    columns = {name: getattr(row, name) for name in struct.__struct_fields__ if name not in computed}
    return msgspec.convert(columns | computed, struct)


def _array_text(values: Sequence[int] | None) -> str | None:
    """Return an array of numbers as Postgres reads it from text."""
    return None if values is None else "{" + ",".join(map(str, values)) + "}"
