"""What may a template do, and what does it make of a message's data?

It may run without an end and take much memory, so that it is rendered in a process of its own: see renderer.py.
"""

from collections.abc import Iterator, Mapping, Sized
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, Final

import jinja2
from jinja2 import nodes
from jinja2.exceptions import SecurityError
from jinja2.ext import Extension
from jinja2.lexer import Token, TokenStream
from jinja2.sandbox import ImmutableSandboxedEnvironment

from relay.domain.errors import InvalidInput
from relay.domain.notifications import Rendered
from relay.notify.templates.filters import duration, filters_for, humanize
from relay.notify.text.markup import MARKUPS, PLAIN, Markup, as_markup

MAX_OUTPUT: Final = 1024 * 1024
"""Characters that a template may make at a time."""
MAX_TEXTS: Final = {"title": 1000, "body": 16_000, "alert": 4000}
"""Characters of a part that are kept; no platform shows more."""
MAX_IN_ALL: Final = 4 * 1024 * 1024
"""Characters of a message's parts."""
OF_ALERT: Final = ("labels", "annotations")
OF_GROUP: Final = ("group_labels", "common_labels", "common_annotations")
MAX_WORDS: Final = 300
UNESCAPING: Final = frozenset({"unescape", "striptags"})
"""Methods of what `safe` and `tojson` make."""
TEMPLATE_FILE: Final = "<template>"
"""What Jinja calls the file of a template that comes from a string."""


class _Sandbox(ImmutableSandboxedEnvironment):
    """Also refuses what takes all time or memory in one step: `9 ** 9 ** 9`, `"x" * 1000000000`."""

    intercepted_binops = frozenset({"**", "*"})

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        """Neither what makes characters of entities, for one of those could pass for the author's markup."""
        return attr not in UNESCAPING and super().is_safe_attribute(obj, attr, value)

    def call_binop(self, context: jinja2.runtime.Context, operator: str, left: Any, right: Any) -> Any:
        """Let a multiplication through if its result is small; text and lists are repeated by it."""
        pair = [(text, times) for text, times in ((left, right), (right, left)) if isinstance(text, Sized)]
        if operator == "**" or any(
            isinstance(times, int) and len(text) * times > MAX_OUTPUT for text, times in pair
        ):
            raise SecurityError(f"the result of {operator} may be too large")
        return super().call_binop(context, operator, left, right)


class _Marking(Extension):
    """Marks what the author wrote outside of `{{ }}` and `{% %}` as markup."""

    def filter_stream(self, stream: TokenStream) -> Iterator[Token]:
        """Replace the text of the template by its twins."""
        for token in stream:
            yield Token(token.lineno, "data", as_markup(token.value)) if token.type == "data" else token


# Both are given the context, and templates are not optimised: else Jinja would run filters on constants where a
# template is only compiled, which is in the relay's own process.
@jinja2.pass_context
def _as_it_is(_: jinja2.runtime.Context, value: Any) -> Any:
    return value


@jinja2.pass_context
def _nothing_for_null(_: jinja2.runtime.Context, value: Any) -> Any:
    return "" if value is None else value


_OF_BOTH: Final[dict[str, Any]] = {"undefined": jinja2.StrictUndefined, "autoescape": False, "optimized": False}
_for_bodies = _Sandbox(finalize=_as_it_is, **_OF_BOTH)
_for_bodies.filters |= {"duration": duration, "humanize": humanize}


@lru_cache(maxsize=16)
def _for_messages(name: str) -> _Sandbox:
    """The sandbox of templates that write in the markup of that name."""
    made = _Sandbox(
        finalize=_nothing_for_null, trim_blocks=True, lstrip_blocks=True, extensions=[_Marking], **_OF_BOTH
    )
    made.filters |= filters_for(MARKUPS[name])
    return made


def check_body(field: str, source: str) -> None:
    """Refuse a template of a whole body that can't be compiled.

    Raises:
        InvalidInput: names the field and the line.
    """
    _check(field, source, _for_bodies)


def check_parts(parts: Mapping[str, str]) -> None:
    """Refuse the parts of a message template that can't be compiled.

    Raises:
        InvalidInput: names the part and the line.
    """
    for part, source in parts.items():
        _check(part, source, _for_messages(PLAIN.name))


def render_body(source: str, data: Mapping[str, Any]) -> str:
    """What a template of a whole body makes of a message's data. Raises whatever a template can."""
    return "".join(_generated(_compiled(source, None), data, MAX_OUTPUT))


def render_parts(parts: Mapping[str, str], markup: Markup, data: Mapping[str, Any]) -> Rendered:
    """What the parts of a message template make of a message's data. Raises whatever a template can.

    A title is one line. A title or an alert of which nothing comes is left to the relay's own words.
    """
    left, data = MAX_IN_ALL, _as_in_alertmanager(data)

    def write(part: str, **more: Any) -> str:
        nonlocal left
        template = _compiled(parts[part], markup.name)
        with _named(part):
            written = markup.finished("".join(_generated(template, {**data, **more}, MAX_OUTPUT))).strip()
            kept = markup.cut(written, MAX_TEXTS[part])
            left -= len(kept)
            if left < 0:
                raise ValueError(f"the results are longer than {MAX_IN_ALL} characters in all")
        return kept

    alerts = enumerate(data["alerts"], start=1) if "alert" in parts else ()
    return Rendered(
        title=" ".join(write("title").split()) if "title" in parts else "",
        body=write("body") if "body" in parts else None,
        alerts=tuple(write("alert", alert=alert, position=position) for position, alert in alerts),
    )


class _Labels(dict[str, str]):
    """Labels, or annotations: one that is not there is empty, as in Alertmanager."""

    def __missing__(self, name: str) -> str:
        return ""


def _as_in_alertmanager(data: Mapping[str, Any]) -> dict[str, Any]:
    alerts = [alert | {name: _Labels(alert[name]) for name in OF_ALERT} for alert in data["alerts"]]
    return {**data, **{name: _Labels(data[name]) for name in OF_GROUP}, "alerts": alerts}


@contextmanager
def _named(part: str) -> Iterator[None]:
    """Say which part of a template failed."""
    try:
        yield
    except Exception as error:
        error.add_note(part)
        raise


def error_text(error: Exception) -> str:
    """What went wrong in a template, with the part and the line if they are known."""
    lines = [line for file, line in _frames(error) if file == TEMPLATE_FILE]
    where = ", ".join([*getattr(error, "__notes__", ())[:1], *(f"line {line}" for line in lines[-1:])])
    words = " ".join(str(error).split()) or type(error).__name__
    return (f"{where}: {words}" if where else words)[:MAX_WORDS]


def _frames(error: Exception) -> Iterator[tuple[str, int]]:
    trace = error.__traceback__
    while trace is not None:
        yield trace.tb_frame.f_code.co_filename, trace.tb_lineno
        trace = trace.tb_next


@lru_cache(maxsize=256)
def _compiled(source: str, markup: str | None) -> jinja2.Template:
    return (_for_bodies if markup is None else _for_messages(markup)).from_string(source)


def _generated(template: jinja2.Template, data: Mapping[str, Any], limit: int) -> Iterator[str]:
    size = 0
    for piece in template.generate(data):
        size += len(piece)
        if size > limit:
            raise ValueError(f"the result is longer than {limit} characters")
        yield piece


def _check(field: str, source: str, sandbox: _Sandbox) -> None:
    try:
        tree = sandbox.parse(source)
        for tag in tree.find_all(nodes.ScopedEvalContextModifier):
            # Its value would be worked out here and now.
            raise InvalidInput(field, f"line {tag.lineno}: the tag autoescape is not there: values are escaped")
        sandbox.from_string(source)
    except jinja2.TemplateSyntaxError as error:
        raise InvalidInput(field, f"line {error.lineno}: {error.message}") from None
    except (RecursionError, SyntaxError):
        raise InvalidInput(field, "is nested too deeply") from None
    except ValueError as error:  # a number of more digits than Python reads
        raise InvalidInput(field, str(error)) from None
