"""The syntax of Alertmanager's matchers.

`parse_utf8` reads what Alertmanager's UTF-8 parser reads, which decides; `parse_classic` what its older one reads,
to show how such a text has to be written.

Source: the parsers of Alertmanager, https://github.com/prometheus/alertmanager (matcher/parse, pkg/labels)
"""

import re
from typing import Final, NamedTuple

Triple = tuple[str, str, str]
"""A name, an operator and a value."""

_token = re.compile(
    r"""\s*(?:(?P<operator>=~|!~|!=|=)|(?P<mark>[{},])|"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<plain>[^\s{}!=~,\\"'`]+))""",
    re.DOTALL,
)
_escape = re.compile(
    rb"""\\(?:(?P<letter>[abfnrtv\\"])|(?P<octal>[0-3][0-7]{2})|x(?P<hex>[0-9a-fA-F]{2})"""
    rb"""|u(?P<short>[0-9a-fA-F]{4})|U(?P<long>[0-9a-fA-F]{8})|(?P<unknown>.?))""",
    re.DOTALL,
)
LETTERS: Final = dict(zip(b'abfnrtv\\"', (bytes([code]) for code in b'\a\b\f\n\r\t\v\\"'), strict=True))
_classic = re.compile(
    r"\s*(?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)\s*(?P<operator>=~|!~|!=|=)\s*(?P<value>.*?)\s*", re.DOTALL
)
_classic_escape = re.compile(r"\\(.)", re.DOTALL)
_unescaped_quote = re.compile(r'(?<!\\)(?:\\\\)*"')


class MatcherSyntaxError(ValueError):
    """The text is not in the syntax; says what was expected and where."""


class _Token(NamedTuple):
    kind: str
    text: str
    at: int


def parse_utf8(text: str) -> list[Triple]:
    """Parse matchers, separated by commas and with braces around them or not; there may be none.

    Raises:
        MatcherSyntaxError: the text is not in the syntax.
    """
    tokens = _tokens(text)
    position = 0

    def peek() -> _Token:
        return tokens[position]

    def take(expected: str, *kinds: str) -> str:
        nonlocal position
        token = tokens[position]
        if token.kind not in kinds:
            found = "the end" if token.kind == "end" else repr(token.text)
            raise MatcherSyntaxError(f"expected {expected} at character {token.at + 1}, found {found}")
        position += 1
        return token.text

    in_braces = peek().kind == "{"
    if in_braces:
        take("{", "{")
    found: list[Triple] = []
    while peek().kind not in ("}", "end"):
        name = take("a label name", "quoted", "plain")
        if not name:
            raise MatcherSyntaxError("a label name must not be empty")
        operator = take("one of = != =~ !~", "operator")
        found.append((name, operator, take("a value", "quoted", "plain")))
        if peek().kind == ",":
            take(",", ",")
        elif peek().kind not in ("}", "end"):
            take("a comma or the end", ",")
    if in_braces:
        take("}", "}")
    take("the end", "end")
    return found


def parse_classic(text: str) -> list[Triple] | None:
    """What the older parser makes of a text; None if it refuses it.

    It would also strip a brace without another.
    """
    inner = text.strip()
    if inner.startswith("{"):
        inner = inner.removeprefix("{").removesuffix("}")
    found = []
    for part in _split_at_commas(inner):
        if not part.strip():
            continue
        matched = _classic.fullmatch(part)
        if matched is None or (value := classic_value(matched["value"])) is None:
            return None
        found.append((matched["name"], matched["operator"], value))
    return found


def classic_value(raw: str) -> str | None:
    r"""Unquote a value of the older syntax, with the escapes `\"`, `\\` and `\n`; None if it is malformed."""
    quoted = len(raw) >= 2 and raw.startswith('"') and raw.endswith('"')
    inner = raw[1:-1] if quoted else raw
    if _unescaped_quote.search(inner) or (quoted and (len(inner) - len(inner.rstrip("\\"))) % 2):
        return None
    return classic_unescape(inner)


def classic_unescape(text: str) -> str:
    """Replace the escapes of the older syntax; others stay as they are."""
    return _classic_escape.sub(
        lambda found: "\n" if found[1] == "n" else found[1] if found[1] in '"\\' else found[0], text
    )


def quoted(text: str) -> str:
    """Write a text in quotes, as both syntaxes read it."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def _tokens(text: str) -> list[_Token]:
    tokens = []
    at, end = 0, len(text.rstrip())
    while at < end:
        matched = _token.match(text, at)
        if matched is None:
            start = at + len(text[at:]) - len(text[at:].lstrip())
            raise MatcherSyntaxError(
                f"character {start + 1} is {text[start]!r}, which needs quotes around the text"
            )
        kind, value = str(matched.lastgroup), matched[str(matched.lastgroup)]
        start = matched.end() - len(matched[0].lstrip())
        tokens.append(
            _Token(value if kind == "mark" else kind, _unquote(value) if kind == "quoted" else value, start)
        )
        at = matched.end()
    return [*tokens, _Token("end", "", len(text))]


def _unquote(inner: str) -> str:
    """Replace Go's escapes. https://go.dev/ref/spec#String_literals"""
    if "\n" in inner:
        raise MatcherSyntaxError(r"a text in quotes must not contain a line break; write \n")
    if "\\" not in inner:
        return inner
    try:
        return _escape.sub(_escaped, inner.encode()).decode()
    except UnicodeError:
        raise MatcherSyntaxError("the escapes of a text in quotes are not valid UTF-8") from None


def _escaped(found: re.Match[bytes]) -> bytes:
    if (letter := found["letter"]) is not None:
        return LETTERS[letter[0]]
    if (octal := found["octal"]) is not None:
        return bytes([int(octal, 8)])
    if (two := found["hex"]) is not None:
        return bytes([int(two, 16)])
    if (digits := found["short"] or found["long"]) is not None and int(digits, 16) <= 0x10FFFF:
        return chr(int(digits, 16)).encode()
    shown = found[0].decode(errors="replace")
    raise MatcherSyntaxError(f"{shown} is not an escape; write \\{shown} for a backslash and what follows it")


def _split_at_commas(text: str) -> list[str]:
    """Split where a comma is outside of quotes."""
    parts, start, inside = [], 0, False
    at = 0
    while at < len(text):
        if text[at] == "\\":
            at += 1
        elif text[at] == '"':
            inside = not inside
        elif text[at] == "," and not inside:
            parts.append(text[start:at])
            start = at + 1
        at += 1
    return [*parts, text[start:]]
