"""The sandbox of templates: what they may do, and their results.

A template may still run forever or use much memory, so it is rendered in a child process (see process_pool.py).
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
from relay.notify.templates.absent import with_empty_labels
from relay.notify.templates.filters import DATA_FILTERS, TESTS, filters_for
from relay.notify.text.bidi import confined
from relay.notify.text.markup import MARKUPS, Markup, encode_markup

MAX_OUTPUT: Final = 1024 * 1024
"""Characters that one template may produce."""
MAX_PART: Final = {"title": 1000, "body": 16_000, "alert": 4000}
"""Characters of a part that are kept; no platform shows more."""
MAX_TOTAL: Final = 4 * 1024 * 1024
"""Characters of all parts of a message."""
MAX_ERROR: Final = 300
UNESCAPING_METHODS: Final = frozenset({"unescape", "striptags"})
"""Of markupsafe.Markup, which `safe` and `tojson` return."""
TEMPLATE_FILE: Final = "<template>"
"""Jinja's file name for a template from a string."""


class _Sandbox(ImmutableSandboxedEnvironment):
    """Also forbids operators that can use unlimited time or memory: `9 ** 9 ** 9`, `"x" * 1000000000`."""

    intercepted_binops = frozenset({"**", "*"})

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        """Also forbid methods that decode entities: the result could contain characters reserved for markup."""
        return attr not in UNESCAPING_METHODS and super().is_safe_attribute(obj, attr, value)

    def call_binop(self, context: jinja2.runtime.Context, operator: str, left: Any, right: Any) -> Any:
        """Allow a multiplication with a small result; multiplying text or a list repeats it."""
        pairs = [(text, times) for text, times in ((left, right), (right, left)) if isinstance(text, Sized)]
        if operator == "**" or any(
            isinstance(times, int) and len(text) * times > MAX_OUTPUT for text, times in pairs
        ):
            raise SecurityError(f"the result of {operator} may be too large")
        return super().call_binop(context, operator, left, right)


class _AuthorMarkup(Extension):
    """Marks the text outside of `{{ }}` and `{% %}`, which the template's author wrote, as markup."""

    def filter_stream(self, stream: TokenStream) -> Iterator[Token]:
        """Replace each text token by encoded markup."""
        for token in stream:
            yield Token(token.lineno, "data", encode_markup(token.value)) if token.type == "data" else token


# Jinja must not run filters on constants while it compiles a template, which happens in the relay's own process.
# So these functions take the context, and `optimized` is off.
@jinja2.pass_context
def _unchanged(_: jinja2.runtime.Context, value: Any) -> Any:
    return value


@jinja2.pass_context
def _null_as_empty(_: jinja2.runtime.Context, value: Any) -> Any:
    return "" if value is None else value


_OPTIONS: Final[dict[str, Any]] = {"undefined": jinja2.StrictUndefined, "autoescape": False, "optimized": False}
_body_sandbox = _Sandbox(finalize=_unchanged, **_OPTIONS)
_body_sandbox.filters |= DATA_FILTERS
_body_sandbox.tests |= TESTS


@lru_cache(maxsize=16)
def _message_sandbox(markup: str) -> _Sandbox:
    """The sandbox of message templates in the named markup."""
    sandbox = _Sandbox(
        finalize=_null_as_empty, trim_blocks=True, lstrip_blocks=True, extensions=[_AuthorMarkup], **_OPTIONS
    )
    sandbox.filters |= filters_for(MARKUPS[markup])
    sandbox.tests |= TESTS
    return sandbox


def compile_template(field: str, source: str, markup: str | None) -> None:
    """Compile a template of a whole body, or of a message in the named markup. Holds the interpreter's lock.

    Raises:
        InvalidInput: it cannot be compiled; names the field and the line.
    """
    sandbox = _sandbox(markup)
    try:
        tree = sandbox.parse(source)
        for tag in tree.find_all(nodes.ScopedEvalContextModifier):
            # Jinja evaluates the tag's value while it compiles the template.
            raise InvalidInput(field, f"line {tag.lineno}: the tag autoescape is not supported")
        sandbox.from_string(source)
    except jinja2.TemplateSyntaxError as error:
        raise InvalidInput(field, f"line {error.lineno}: {error.message}") from None
    except (RecursionError, SyntaxError):
        raise InvalidInput(field, "is nested too deeply") from None
    except ValueError as error:  # an integer with more digits than Python parses
        raise InvalidInput(field, str(error)) from None


def render_body(source: str, data: Mapping[str, Any]) -> str:
    """Render a template of a whole body. Raises any exception that a template can."""
    return "".join(_generate(_compile(source, None), with_empty_labels(data)))


def render_parts(parts: Mapping[str, str], markup: Markup, data: Mapping[str, Any]) -> Rendered:
    """Render the parts of a message template. Raises any exception that a template can.

    A title is joined to one line. An empty title or alert is replaced by the built-in text later.
    """
    remaining, data = MAX_TOTAL, with_empty_labels(data, _as_field)

    def render(part: str, **variables: Any) -> str:
        nonlocal remaining
        template = _compile(parts[part], markup.name)
        with _part_in_errors(part):
            text = markup.finish("".join(_generate(template, {**data, **variables}))).strip()
            text = markup.cut(text, MAX_PART[part])
            remaining -= len(text)
            if remaining < 0:
                raise ValueError(f"the results are longer than {MAX_TOTAL} characters in total")
        return text

    alerts = enumerate(data["alerts"], start=1) if "alert" in parts else ()
    return Rendered(
        title=" ".join(render("title").split()) if "title" in parts else "",
        body=render("body") if "body" in parts else None,
        alerts=tuple(render("alert", alert=alert, position=position) for position, alert in alerts),
    )


def _as_field(text: str) -> str:
    """A label or annotation as a field of its own: its author's markup around it has an effect."""
    return confined(text.strip())


def error_text(error: Exception) -> str:
    """A template's error, with the part and the line if they are known."""
    lines = [line for file, line in _frames(error) if file == TEMPLATE_FILE]
    location = ", ".join([*getattr(error, "__notes__", ())[:1], *(f"line {line}" for line in lines[-1:])])
    text = " ".join(str(error).split()) or type(error).__name__
    return (f"{location}: {text}" if location else text)[:MAX_ERROR]


@contextmanager
def _part_in_errors(part: str) -> Iterator[None]:
    """Add the name of the part to errors, for error_text()."""
    try:
        yield
    except Exception as error:
        error.add_note(part)
        raise


def _frames(error: Exception) -> Iterator[tuple[str, int]]:
    trace = error.__traceback__
    while trace is not None:
        yield trace.tb_frame.f_code.co_filename, trace.tb_lineno
        trace = trace.tb_next


@lru_cache(maxsize=256)
def _compile(source: str, markup: str | None) -> jinja2.Template:
    return _sandbox(markup).from_string(source)


def _sandbox(markup: str | None) -> _Sandbox:
    return _body_sandbox if markup is None else _message_sandbox(markup)


def _generate(template: jinja2.Template, data: Mapping[str, Any]) -> Iterator[str]:
    size = 0
    for piece in template.generate(data):
        size += len(piece)
        if size > MAX_OUTPUT:
            raise ValueError(f"the result is longer than {MAX_OUTPUT} characters")
        yield piece
