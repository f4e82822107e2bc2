"""Was it the connection, or did the query take too long?

Told without any driver's classes: by SQLSTATE, which asyncpg and psycopg give, and else by Python's own classes.
"""

from typing import Final

# https://www.postgresql.org/docs/current/errcodes-appendix.html
CONNECTION_CLASS: Final = "08"
CONNECTION_STATES: Final = frozenset(("53300", "57P01", "57P02", "57P03", "57P05"))
"""Too many connections, shut down, crashed, starts up, idle for too long."""
TIMEOUT_STATES: Final = frozenset(("57014", "55P03", "25P03", "25P04"))
"""Cancelled, as `statement_timeout` does; not granted a lock in time; a transaction that took too long."""


def of_the_driver(error: BaseException) -> BaseException:
    """What the driver raised, below what SQLAlchemy or Django makes of it."""
    below = getattr(error, "orig", None) or error.__cause__
    if _state(error) is None and isinstance(below, BaseException) and below is not error:
        return of_the_driver(below)
    return error


def is_query_timeout(error: str | BaseException) -> bool:
    """Whether a query took too long."""
    if isinstance(error, str):
        return "timeout" in error.lower() and "connect" not in error.lower()
    state = _state(error)
    return state in TIMEOUT_STATES if state else isinstance(error, TimeoutError)


def is_connection_failure(error: str | BaseException) -> bool:
    """Whether the database could not be reached, or hung up."""
    if isinstance(error, str):
        return "connect" in error.lower()
    state = _state(error)
    if state:
        return state.startswith(CONNECTION_CLASS) or state in CONNECTION_STATES
    return isinstance(error, OSError) or "connection" in type(error).__name__.lower()


def _state(error: BaseException) -> str | None:
    state = getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)
    return state if isinstance(state, str) else None
