"""What the OpenAPI document says of every operation: the problems that it may respond with.

Some are reserved, so that clients that are generated from the document can handle them before they occur.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from litestar import Litestar
from litestar.openapi.spec import OpenAPIMediaType, OpenAPIResponse, Operation, Reference
from litestar.routes import HTTPRoute

from relay.domain.problems import PROBLEM_TYPE

_DESCRIPTIONS: Final = {
    HTTPStatus.BAD_REQUEST: "A parameter or the body is invalid; `errors` names the field.",
    HTTPStatus.UNAUTHORIZED: "The API key is missing, unknown or revoked.",
    HTTPStatus.FORBIDDEN: "Reserved: the key does not allow the operation. In this release every key allows all.",
    HTTPStatus.NOT_FOUND: "There is no such object.",
    HTTPStatus.CONFLICT: "The id or name is taken, or other objects refer to this one.",
    HTTPStatus.PRECONDITION_FAILED: "Reserved: the object has changed. This release ignores `If-Match`.",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "The body is larger than 10 MiB.",
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "The body has a type or an encoding that the relay does not read.",
    HTTPStatus.TOO_MANY_REQUESTS: "Reserved: too many requests. This release bounds them by 503 alone.",
    HTTPStatus.SERVICE_UNAVAILABLE: "The database is unavailable, or too much is in progress; retry the request "
    "after the seconds in `Retry-After`.",
}


@dataclass
class ProblemOperation(Operation):
    """An operation with its problems, which follow from its parameters, body and security."""

    def __post_init__(self) -> None:
        """Add the responses, except where the operation has its own with the status."""
        responses: dict[str, Any] = dict(self.responses or {})
        responses.pop(str(HTTPStatus.BAD_REQUEST.value), None)  # the framework's, which has another form
        for status in self._problems():
            responses.setdefault(str(status.value), _response(status))
        self.responses = dict(sorted(responses.items()))

    def _problems(self) -> set[HTTPStatus]:
        found = {HTTPStatus.SERVICE_UNAVAILABLE}
        in_path = any(getattr(parameter, "param_in", "") == "path" for parameter in self.parameters or ())
        if self.parameters or self.request_body is not None:
            found.add(HTTPStatus.BAD_REQUEST)
        if self.security:
            found |= {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.TOO_MANY_REQUESTS}
        if in_path:
            found.add(HTTPStatus.NOT_FOUND)
        if self.request_body is not None:
            found |= {HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.UNSUPPORTED_MEDIA_TYPE}
        key_required = bool(self.security) and {} not in (self.security or ())
        if key_required and (self.request_body is not None or {"201", "202", "204"} & set(self.responses or ())):
            found |= {HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT, HTTPStatus.PRECONDITION_FAILED}
        return found


def document_problems(application: Litestar, others: Mapping[str, type[Operation]]) -> None:
    """Describe the problems of all operations of an application; `others` has classes by the handler's name."""
    for route in application.routes:
        if isinstance(route, HTTPRoute):
            for handler, _ in route.route_handler_map.values():
                handler.operation_class = others.get(handler.handler_name, ProblemOperation)


def _response(status: HTTPStatus) -> OpenAPIResponse:
    schema = Reference(ref="#/components/schemas/Problem")
    return OpenAPIResponse(
        description=_DESCRIPTIONS[status], content={PROBLEM_TYPE: OpenAPIMediaType(schema=schema)}
    )
