"""Classification of database errors: connection failures and query timeouts.

It needs no driver's classes: it uses SQLSTATE, which asyncpg and psycopg provide, or else Python's own exceptions.
"""

from typing import Final

# https://www.postgresql.org/docs/current/errcodes-appendix.html
CONNECTION_CLASS: Final = "08"
CONNECTION_STATES: Final = frozenset(("53300", "57P01", "57P02", "57P03", "57P05"))
"""Too many connections, shutdown, crash, startup, idle timeout."""
TIMEOUT_STATES: Final = frozenset(("57014", "55P03", "25P03", "25P04"))
"""Canceled (by `statement_timeout`), lock timeout, and transaction timeouts."""


def driver_error(error: BaseException) -> BaseException:
    """Return the driver's exception that SQLAlchemy or Django wraps."""
    cause = getattr(error, "orig", None) or error.__cause__
    if _state(error) is None and isinstance(cause, BaseException) and cause is not error:
        return driver_error(cause)
    return error


def is_query_timeout(error: str | BaseException) -> bool:
    """Whether a query timed out."""
    if isinstance(error, str):
        return "timeout" in error.lower() and "connect" not in error.lower()
    state = _state(error)
    return state in TIMEOUT_STATES if state else isinstance(error, TimeoutError)


def is_connection_failure(error: str | BaseException) -> bool:
    """Whether the connection to the database failed."""
    if isinstance(error, str):
        return "connect" in error.lower()
    state = _state(error)
    if state:
        return state.startswith(CONNECTION_CLASS) or state in CONNECTION_STATES
    return isinstance(error, OSError) or "connection" in type(error).__name__.lower()


def _state(error: BaseException) -> str | None:
    state = getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)
    return state if isinstance(state, str) else None
