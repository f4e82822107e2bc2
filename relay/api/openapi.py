"""What the OpenAPI document says of every operation: the problems that it may respond with.

Some are reserved, so that clients that are generated from the document can handle them before they occur.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

import msgspec
from litestar import Litestar
from litestar.handlers import HTTPRouteHandler
from litestar.openapi import ResponseSpec
from litestar.openapi.spec import Operation
from litestar.routes import HTTPRoute

from relay.access.authentication import access_of
from relay.domain.principals import Access
from relay.domain.problems import PROBLEM_TYPE, Problem

_DESCRIPTIONS: Final = {
    HTTPStatus.BAD_REQUEST: "A parameter or the body is invalid; `errors` names the field.",
    HTTPStatus.UNAUTHORIZED: "The credential is missing, unknown, expired or revoked.",
    HTTPStatus.FORBIDDEN: "The role of the principal does not allow the operation.",
    HTTPStatus.NOT_FOUND: "There is no such object.",
    HTTPStatus.CONFLICT: "The id is taken, other objects refer to this one, or its state forbids the change.",
    HTTPStatus.PRECONDITION_FAILED: "The object is at none of the versions in `If-Match`.",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "The body is larger than 10 MiB.",
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "The body has a type or an encoding that the relay does not read.",
    HTTPStatus.TOO_MANY_REQUESTS: "Too many logins have failed; retry after the seconds in `Retry-After`.",
    HTTPStatus.SERVICE_UNAVAILABLE: "The database is unavailable or has the schema of another release, or too "
    "much is in progress; retry the request after the seconds in `Retry-After`.",
}
_OF_KEYS: Final = {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.TOO_MANY_REQUESTS}
_OF_CHANGES: Final = {HTTPStatus.CONFLICT, HTTPStatus.PRECONDITION_FAILED}
_OF_BODIES: Final = {
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
}


def document_problems(application: Litestar, raw: Mapping[str, type[Operation]]) -> None:
    """Describe the problems of all operations of an application, except where a handler describes them itself.

    `raw` has the handlers, by name, that read their body and check their key themselves, and what describes both.
    """
    for route in application.routes:
        if isinstance(route, HTTPRoute):
            for handler, _ in route.route_handler_map.values():
                statuses = _problems(handler, in_path=bool(route.path_parameters))
                if handler.handler_name in raw:
                    handler.operation_class = raw[handler.handler_name]
                    statuses |= _OF_BODIES | _OF_KEYS
                described = {status.value: _response(status) for status in sorted(statuses)}
                handler.responses = described | dict(handler.responses or {})


def _problems(handler: HTTPRouteHandler, *, in_path: bool) -> set[HTTPStatus]:
    found = {HTTPStatus.SERVICE_UNAVAILABLE}
    parameters = handler.parsed_fn_signature.parameters
    body = handler.parsed_data_field
    # What uses them, such as a preview, changes nothing, and its body names the objects that it reads.
    tries_only = "operations" in parameters
    if access_of(handler) not in (Access.PUBLIC, Access.INGEST):
        found |= _OF_KEYS | {HTTPStatus.BAD_REQUEST}  # every parameter is checked, known or not
        if "GET" not in handler.http_methods and not tries_only:
            found |= _OF_CHANGES
    if in_path or (tries_only and body is not None and body.is_subclass_of(msgspec.Struct)):
        found.add(HTTPStatus.NOT_FOUND)
    return found | (_OF_BODIES if body is not None else set())


def _response(status: HTTPStatus) -> ResponseSpec:
    return ResponseSpec(
        Problem, generate_examples=False, media_type=PROBLEM_TYPE, description=_DESCRIPTIONS[status]
    )
