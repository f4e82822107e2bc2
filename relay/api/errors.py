"""How does an error become an answer? As RFC 9457 problem details that name the field."""

from http import HTTPStatus
from typing import Any, Final

import msgspec
import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException
from litestar.types import ExceptionHandlersMap

from relay.api.pages import query_parameters
from relay.domain.errors import Conflict, InvalidInput, NotFound, RelayError, Unavailable, Unreadable
from relay.domain.fields import field_and_message
from relay.domain.problems import PROBLEM_TYPE, FieldError, Problem
from relay.store.postgres.database import AWAY

RETRY_SECONDS: Final = "5"

log = structlog.get_logger(__name__)

_STATUS: Final[dict[type[Exception], HTTPStatus]] = {
    InvalidInput: HTTPStatus.BAD_REQUEST,
    NotFound: HTTPStatus.NOT_FOUND,
    Conflict: HTTPStatus.CONFLICT,
    Unavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    Unreadable: HTTPStatus.INTERNAL_SERVER_ERROR,
}


def on_relay_error(_: Request[Any, Any, Any], error: RelayError) -> Response[Problem]:
    """Our own errors: each has its status, and its words are fit for people."""
    status = next(
        (found for kind, found in _STATUS.items() if isinstance(error, kind)), HTTPStatus.INTERNAL_SERVER_ERROR
    )
    field = error.field if isinstance(error, InvalidInput) else ""
    return _answer(Problem.of(status, error.message if isinstance(error, InvalidInput) else str(error), field))


def on_http_error(request: Request[Any, Any, Any], error: HTTPException) -> Response[Problem]:
    """The framework's errors: no such path, a body too large, a parameter of the wrong type."""
    status = HTTPStatus(error.status_code)
    if isinstance(error, ValidationException):
        return _answer(_of_validation(request, error))
    headers = dict(error.headers or {})
    if status is HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    return _answer(Problem.of(status, error.detail), headers)


def on_away(_: Request[Any, Any, Any], error: Exception) -> Response[Problem]:
    """Postgres is away."""
    log.warning("database_away", error=type(error).__name__)
    return _answer(Problem.of(HTTPStatus.SERVICE_UNAVAILABLE, "the database is away; send it again"))


def on_too_deep(_: Request[Any, Any, Any], error: RecursionError) -> Response[Problem]:
    """JSON that is nested deeper than anything of ours."""
    return _answer(Problem.of(HTTPStatus.BAD_REQUEST, "the JSON is nested too deeply"))


def on_mistake(request: Request[Any, Any, Any], error: Exception) -> Response[Problem]:
    """A mistake of ours: told in the log, not to the caller."""
    log.error("request_failed", method=request.method, path=request.url.path, exc_info=error)
    return _answer(Problem.of(HTTPStatus.INTERNAL_SERVER_ERROR, "the relay failed; its log says more"))


HANDLERS: Final[ExceptionHandlersMap] = {
    RelayError: on_relay_error,
    HTTPException: on_http_error,
    RecursionError: on_too_deep,
    Exception: on_mistake,
    **dict.fromkeys(AWAY, on_away),
}


def _of_validation(request: Request[Any, Any, Any], error: ValidationException) -> Problem:
    """What the framework found wrong in parameters or in a typed body."""
    if isinstance(cause := error.__cause__, msgspec.ValidationError):
        path, message = field_and_message(cause)
        if (path, message) == ("data", "is missing"):
            return Problem.of(HTTPStatus.BAD_REQUEST, "the body is missing")
        return Problem.of(HTTPStatus.BAD_REQUEST, message, _as_sent(request, path))
    found = [item for item in error.extra or [] if isinstance(item, dict)]
    errors = tuple(FieldError(str(item.get("key", "")), str(item.get("message", ""))) for item in found)
    detail = "; ".join(f"{item.field}: {item.message}" for item in errors) or error.detail
    return Problem(
        title=HTTPStatus.BAD_REQUEST.phrase, status=HTTPStatus.BAD_REQUEST, detail=detail, errors=errors
    )


def _as_sent(request: Request[Any, Any, Any], path: str) -> str:
    """The caller's name of a field: to the handlers the body is `data`, and some parameters have other names."""
    if path == "data" or path.startswith("data."):
        return path.removeprefix("data").removeprefix(".")
    return query_parameters(request.route_handler).get(path, path)


def _answer(problem: Problem, headers: dict[str, str] | None = None) -> Response[Problem]:
    headers = dict(headers or {})
    if problem.status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers["Retry-After"] = RETRY_SECONDS
    return Response(problem, status_code=problem.status, media_type=PROBLEM_TYPE, headers=headers)
