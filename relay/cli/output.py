"""Output of commands, as a table or as JSON."""

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Final, Literal

from cyclopts import Parameter
from rich.console import Console
from rich.table import Table
from rich.text import Text

Output = Annotated[Literal["table", "json"], Parameter(help="The output format.")]
FIRST: Final = ("id", "name")
UNLIMITED: Final = 1_000_000
"""Columns; output to a file or a pipe is not wrapped."""


def show_item(item: dict[str, Any], output: str) -> None:
    """Print a resource, one line per field."""
    if output == "json":
        return _print_json(item)
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(no_wrap=True, style="bold")
    table.add_column(overflow="fold")
    for name in sorted(item, key=lambda name: name not in FIRST):
        table.add_row(name, _cell(item[name]))
    return _print_table(table)


def show_items(items: Sequence[dict[str, Any]], columns: Sequence[str], output: str) -> None:
    """Print resources, one line each; the first column is the id. JSON contains all fields."""
    if output == "json":
        return _print_json({"items": list(items)})
    table = Table(box=None, pad_edge=False)
    for at, name in enumerate(columns):
        table.add_column(name.upper().replace("_", " "), no_wrap=at == 0, overflow="fold")
    for item in items:
        table.add_row(*(_cell(item.get(name)) for name in columns))
    return _print_table(table)


def _print_json(data: Any) -> None:
    readable = sys.stdout.encoding.lower().startswith("utf")
    print(json.dumps(data, indent=2, ensure_ascii=not readable))


def _print_table(table: Table) -> None:
    console = Console(highlight=False, width=None if sys.stdout.isatty() else UNLIMITED)
    with console.capture() as captured:
        console.print(table)
    for line in captured.get().splitlines():
        print(line.rstrip())


def show_lines(lines: Iterable[str]) -> None:
    """Print lines of text."""
    for line in lines:
        print(_printable(line).rstrip())


def _cell(value: Any) -> Text:
    """A cell without markup."""
    return Text(_printable(_text(value)))


def _printable(text: str) -> str:
    """Replace control characters: text from alerts and platforms must not move the cursor."""
    return "".join(character if character.isprintable() else " " for character in text)


def _text(value: Any) -> str:
    if value is None or value in ("", [], {}):
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(_text, value))
    if isinstance(value, dict):
        return ", ".join(f"{name}: {_text(item)}" for name, item in value.items())
    return str(value)
