"""Error responses: RFC 9457 problem details that name the field."""

from http import HTTPStatus
from typing import Any, Final

import msgspec
import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException
from litestar.types import ExceptionHandlersMap

from relay.access.authentication import ACCESS
from relay.api.pages import query_parameters
from relay.domain.errors import (
    Changed,
    Conflict,
    Forbidden,
    InvalidInput,
    NotFound,
    RelayError,
    TooManyRequests,
    Unauthorized,
    Unavailable,
    Unreadable,
)
from relay.domain.fields import field_and_message
from relay.domain.principals import Access
from relay.domain.problems import PROBLEM_TYPE, FieldError, Problem
from relay.store.postgres.database import UNAVAILABLE, Database
from relay.telemetry import Metrics

RETRY_SECONDS: Final = "5"
REFUSED: Final = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.TOO_MANY_REQUESTS})
"""What authentication responds with."""

log = structlog.get_logger(__name__)

_STATUS: Final[dict[type[Exception], HTTPStatus]] = {
    InvalidInput: HTTPStatus.BAD_REQUEST,
    Unauthorized: HTTPStatus.UNAUTHORIZED,
    Forbidden: HTTPStatus.FORBIDDEN,
    TooManyRequests: HTTPStatus.TOO_MANY_REQUESTS,
    Changed: HTTPStatus.PRECONDITION_FAILED,
    NotFound: HTTPStatus.NOT_FOUND,
    Conflict: HTTPStatus.CONFLICT,
    Unavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    Unreadable: HTTPStatus.INTERNAL_SERVER_ERROR,
}


def on_relay_error(request: Request[Any, Any, Any], error: RelayError) -> Response[Problem]:
    """Respond to an error of the relay's own: each type has its status, and its text is the detail."""
    status = next(
        (found for error_type, found in _STATUS.items() if isinstance(error, error_type)),
        HTTPStatus.INTERNAL_SERVER_ERROR,
    )
    field = error.field if isinstance(error, InvalidInput) else ""
    headers = {}
    if isinstance(error, TooManyRequests | Unavailable):
        headers["Retry-After"] = str(error.retry_after)
    if status is HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    if status in REFUSED and request.scope["route_handler"].opt.get(ACCESS) is Access.INGEST:
        metrics: Metrics = request.state.metrics
        metrics.webhooks.labels("unauthorized").inc()
    detail = error.message if isinstance(error, InvalidInput) else str(error)
    return _response(Problem.of(status, detail, field), headers)


def on_http_error(request: Request[Any, Any, Any], error: HTTPException) -> Response[Problem]:
    """Respond to an error of the framework, such as an unknown path, a large body or a parameter's wrong type."""
    status = HTTPStatus(error.status_code)
    if isinstance(error, ValidationException):
        return _response(_validation_problem(request, error))
    return _response(Problem.of(status, error.detail), dict(error.headers or {}))


def on_database_unavailable(request: Request[Any, Any, Any], error: Exception) -> Response[Problem]:
    """Respond 503 while Postgres is unavailable."""
    log.warning("database_unavailable", error=type(error).__name__)
    database: Database = request.state.database
    return _response(Problem.of(HTTPStatus.SERVICE_UNAVAILABLE, f"{database.outage()}; retry the request"))


def on_deep_nesting(_: Request[Any, Any, Any], error: RecursionError) -> Response[Problem]:
    """Respond 400 to JSON that is nested too deeply to decode."""
    return _response(Problem.of(HTTPStatus.BAD_REQUEST, "the JSON is nested too deeply"))


def on_invalid_utf8(_: Request[Any, Any, Any], error: UnicodeDecodeError) -> Response[Problem]:
    """Respond 400 to JSON that is not valid UTF-8."""
    return _response(Problem.of(HTTPStatus.BAD_REQUEST, f"the body is not valid UTF-8 (byte {error.start})"))


def on_unexpected_error(request: Request[Any, Any, Any], error: Exception) -> Response[Problem]:
    """Respond 500 to a bug; its details are logged and not in the response."""
    log.error("request_failed", method=request.method, path=request.url.path, exc_info=error)
    return _response(Problem.of(HTTPStatus.INTERNAL_SERVER_ERROR, "internal error; see the relay's log"))


HANDLERS: Final[ExceptionHandlersMap] = {
    RelayError: on_relay_error,
    HTTPException: on_http_error,
    RecursionError: on_deep_nesting,
    UnicodeDecodeError: on_invalid_utf8,
    Exception: on_unexpected_error,
    **dict.fromkeys(UNAVAILABLE, on_database_unavailable),
}


def _validation_problem(request: Request[Any, Any, Any], error: ValidationException) -> Problem:
    """The problem that the framework found in parameters or in a typed body."""
    if isinstance(cause := error.__cause__, msgspec.ValidationError):
        path, message = field_and_message(cause)
        if (path, message) == ("data", "is missing"):
            return Problem.of(HTTPStatus.BAD_REQUEST, "the body is missing")
        return Problem.of(HTTPStatus.BAD_REQUEST, message, _field_in_request(request, path))
    found = [item for item in error.extra or [] if isinstance(item, dict)]
    errors = tuple(FieldError(str(item.get("key", "")), str(item.get("message", ""))) for item in found)
    detail = "; ".join(f"{item.field}: {item.message}" for item in errors) or error.detail
    return Problem(
        title=HTTPStatus.BAD_REQUEST.phrase, status=HTTPStatus.BAD_REQUEST, detail=detail, errors=errors
    )


def _field_in_request(request: Request[Any, Any, Any], path: str) -> str:
    """The field's name in the request: handlers name the body `data`, and some parameters differently."""
    if path == "data" or path.startswith("data."):
        return path.removeprefix("data").removeprefix(".")
    name, bracket, at = path.partition("[")
    return query_parameters(request.route_handler).get(name, name) + bracket + at


def _response(problem: Problem, headers: dict[str, str] | None = None) -> Response[Problem]:
    headers = dict(headers or {})
    if problem.status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers.setdefault("Retry-After", RETRY_SECONDS)
    return Response(problem, status_code=problem.status, media_type=PROBLEM_TYPE, headers=headers)
