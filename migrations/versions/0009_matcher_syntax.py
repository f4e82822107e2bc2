r"""Rewrite the matchers of channels and channel templates to the quoted form, with their present meaning.

Until now an entry was one matcher, `name OP value`: quotes around the value are optional, its escapes are `\"`,
`\\` and `\n`, and the name may be in quotes. An entry whose quoted form is too long stays as it is and keeps
working.
"""

import json
import re
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

MAX_LENGTH = 4096
SYNTAX = re.compile(
    r'\s*(?:"(?P<quoted>(?:[^"\\]|\\.)+)"|(?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*))'
    r"\s*(?P<operator>=~|!~|!=|=)\s*(?P<value>.*?)\s*",
    re.DOTALL,
)
PLAIN_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
ESCAPE = re.compile(r"\\(.)", re.DOTALL)
UNESCAPED_QUOTE = re.compile(r'(?<!\\)(?:\\\\)*"')


def upgrade() -> None:
    """Rewrite what differs."""
    connection = op.get_bind()
    for table, column in (("channels", "config"), ("channel_templates", "body")):
        for row in connection.execute(sa.text(f"SELECT id, {column} AS stored FROM {table}")).all():
            rewritten = rewrite(row.stored)
            if rewritten != row.stored:
                statement = sa.text(f"UPDATE {table} SET {column} = CAST(:stored AS jsonb) WHERE id = :id")
                connection.execute(statement, {"stored": json.dumps(rewritten), "id": row.id})


def downgrade() -> None:
    """The earlier release reads the quoted form."""


def rewrite(value: Any) -> Any:
    """JSON with the entries of every list `matchers` rewritten."""
    if isinstance(value, list):
        return [rewrite(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        key: [quoted_form(entry) for entry in item]
        if key == "matchers" and isinstance(item, list)
        else rewrite(item)
        for key, item in value.items()
    }


def quoted_form(entry: Any) -> Any:
    """An entry in the quoted form; as it is if it is a placeholder, malformed or would be too long."""
    found = SYNTAX.fullmatch(entry) if isinstance(entry, str) else None
    if found is None:
        return entry
    raw = found["value"]
    in_quotes = len(raw) >= 2 and raw.startswith('"') and raw.endswith('"')
    inner = raw[1:-1] if in_quotes else raw
    if UNESCAPED_QUOTE.search(inner) or (in_quotes and (len(inner) - len(inner.rstrip("\\"))) % 2):
        return entry
    name = found["name"] or unescape(found["quoted"])
    shown = name if PLAIN_NAME.fullmatch(name) else quote(name)
    rewritten = f"{shown}{found['operator']}{quote(unescape(inner))}"
    return rewritten if len(rewritten) <= MAX_LENGTH else entry


def unescape(text: str) -> str:
    """Replace the escapes."""
    return ESCAPE.sub(lambda found: {"n": "\n", '"': '"', "\\": "\\"}.get(found[1], found[0]), text)


def quote(text: str) -> str:
    """Write a text in quotes."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
