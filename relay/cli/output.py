"""How is an answer shown: as a table for people, or as JSON for programs?"""

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Final, Literal

from cyclopts import Parameter
from rich.console import Console
from rich.table import Table
from rich.text import Text

Output = Annotated[Literal["table", "json"], Parameter(help="A table for people, or JSON for programs.")]
FIRST: Final = ("id", "name")
UNCUT: Final = 1_000_000
"""Columns; a file or a pipe has no width, so nothing in it is wrapped."""


def show_item(item: dict[str, Any], output: str) -> None:
    """Show one resource, a line for each field."""
    if output == "json":
        return _print_json(item)
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(no_wrap=True, style="bold")
    table.add_column(overflow="fold")
    for name in sorted(item, key=lambda name: name not in FIRST):
        table.add_row(name, _cell(item[name]))
    return _print_table(table)


def show_items(items: Sequence[dict[str, Any]], columns: Sequence[str], output: str) -> None:
    """Show resources, a line for each; the first column is the id. As JSON all fields are shown."""
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
    console = Console(highlight=False, width=None if sys.stdout.isatty() else UNCUT)
    with console.capture() as captured:
        console.print(table)
    for line in captured.get().splitlines():
        print(line.rstrip())


def show_lines(lines: Iterable[str]) -> None:
    """Show text, line by line."""
    for line in lines:
        print(_harmless(line).rstrip())


def _cell(value: Any) -> Text:
    """No markup."""
    return Text(_harmless(_words(value)))


def _harmless(text: str) -> str:
    """Words come from other people: no character that moves the cursor."""
    return "".join(character if character.isprintable() else " " for character in text)


def _words(value: Any) -> str:
    if value is None or value in ("", [], {}):
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(_words, value))
    if isinstance(value, dict):
        return ", ".join(f"{name}: {_words(item)}" for name, item in value.items())
    return str(value)
