"""ASGI middleware that counts requests with their result, duration and tenant.

It wraps any ASGI application, best as the outermost layer, so that responses of other layers are counted too.
A request is counted when its response is complete, just before the server gets the last part. Work that a
framework does afterwards is not included in the duration. Without a complete response, the request is counted when
the application returns:

- as 500 if the application raised before its response, or sent none: the server then responds with 500;
- as 499 if the client disconnected before the response, or the server canceled the request;
- with the status that was sent if the response was interrupted.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from time import perf_counter
from typing import Any, ClassVar, Final

from relay.middleware.frameworks import EXCEPTION_KEY
from relay.middleware.labels import UNKNOWN, UNMATCHED, label_text
from relay.middleware.metrics import ApplicationMetrics, application_metrics
from relay.middleware.responses import Record, ResponseLabels
from relay.middleware.routes import endpoint_of
from relay.middleware.tenants import Tenant, no_tenant
from relay.middleware.tracking import track_exception

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Any, Any, Any], Awaitable[None]]

CLIENT_GONE: Final = 499
"""The status that nginx logs when the client disconnects."""
_BODY: Final = frozenset(("http.response.body", "http.response.pathsend", "http.response.zerocopysend"))
# https://asgi.readthedocs.io/en/latest/extensions.html

_log = logging.getLogger(__name__)


class MetricsMiddleware:
    """Counts requests, errors and durations in one pass; cheaper than the two middlewares below together."""

    _requests: ClassVar[bool] = True
    _errors: ClassVar[bool] = True

    def __init__(
        self,
        app: Application,
        *,
        metrics: ApplicationMetrics | None = None,
        tenant: Tenant | None = None,
        endpoint: Callable[[Scope], object] = endpoint_of,
    ) -> None:
        """Wrap an application.

        Args:
            app: the application; scopes other than HTTP are passed through unchanged.
            metrics: the metrics to update; by default `application_metrics()`.
            tenant: returns the tenant from the scope: `from_state()`, `from_header("X-Tenant-ID")`, or any
                callable; by default every tenant is `unknown`. Called when the response is complete, so that it
                can read what an inner layer wrote to the scope.
            endpoint: returns the template of the route from the scope; called at the same time. An empty result
                becomes `unmatched`.
        """
        self._app = app
        self._metrics = metrics or application_metrics()
        self._tenant = tenant or no_tenant
        self._endpoint = endpoint
        self._recorders: dict[tuple[str, str, int, str], Record] = {}
        self._scope_key = f"relay.middleware.{type(self).__name__}.{id(self._metrics)}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Call the application, and count the request."""
        # If a mounted application has the same middleware, only the outer one counts.
        if scope["type"] != "http" or self._scope_key in scope:
            await self._app(scope, receive, send)
            return
        scope[self._scope_key] = True
        started = perf_counter()
        status = 0
        complete = disconnected = False

        async def receive_wrapper() -> Message:
            nonlocal disconnected
            message = await receive()
            disconnected |= message["type"] == "http.disconnect"
            return message

        # Not a coroutine function: it returns the server's awaitable, which saves one coroutine per message.
        def send_wrapper(message: Message) -> Awaitable[None]:
            nonlocal status, complete
            message_type = message["type"]
            if message_type == "http.response.start":
                # A client that has disconnected gets no response, such as the framework's 500.
                status = CLIENT_GONE if disconnected else message["status"]
            elif message_type in _BODY and not message.get("more_body") and not complete:
                complete = True
                self._count_response(scope, status, perf_counter() - started)
            return send(message)

        try:
            await self._app(scope, receive_wrapper, send_wrapper)
        except asyncio.CancelledError:
            disconnected = True
            raise
        except Exception as error:
            # An exception caused by the disconnect is not an error of the application.
            if not disconnected or (complete and status != CLIENT_GONE):
                self._count_exception(scope, error)
            raise
        finally:
            if not complete:
                self._count_response(
                    scope, status or (CLIENT_GONE if disconnected else 500), perf_counter() - started
                )

    def _count_response(self, scope: Scope, status: int, seconds: float) -> None:
        try:
            endpoint, tenant = self._endpoint(scope), self._tenant(scope)
            key = (
                scope["method"],
                endpoint if type(endpoint) is str else label_text(endpoint or UNMATCHED),
                status,
                tenant if type(tenant) is str else label_text(tenant),
            )
        except Exception:
            key = (scope["method"], self._endpoint_of(scope), status, self._tenant_of(scope))
        record = self._recorders.get(key)
        if record is None:
            record = self._recorder(*key)
        record(seconds)
        if status >= 500 and EXCEPTION_KEY in scope:
            self._count_exception(scope, scope[EXCEPTION_KEY])

    def _count_exception(self, scope: Scope, error: Exception) -> None:
        if not self._errors:
            return
        endpoint, tenant = self._endpoint_of(scope), self._tenant_of(scope)
        track_exception(error, endpoint=endpoint, tenant_id=tenant, metrics=self._metrics)

    def _recorder(self, method: str, endpoint: str, status: int, tenant: str) -> Record:
        """Return the recorder for these labels, cached by the bounded labels, whose number is limited."""
        unbounded = ResponseLabels(
            method, endpoint or UNMATCHED, str(status), label_text(tenant), self._requests, self._errors
        )
        labels = self._metrics.bounded(unbounded)
        key = (labels.method, labels.endpoint, status, labels.tenant_id)
        record = self._recorders.get(key)
        if record is None:
            record = self._metrics.recorder(labels)
            if labels.status_code == unbounded.status_code:
                self._recorders[key] = record
        return record

    def _endpoint_of(self, scope: Scope) -> str:
        try:
            return label_text(self._endpoint(scope) or UNMATCHED)
        except Exception:
            _log.warning("the endpoint of a request can't be determined", exc_info=True)
            return UNMATCHED

    def _tenant_of(self, scope: Scope) -> str:
        try:
            return label_text(self._tenant(scope))
        except Exception:
            _log.warning("the tenant of a request can't be determined", exc_info=True)
            return UNKNOWN


class RequestMetricsMiddleware(MetricsMiddleware):
    """Counts requests by status, and their durations."""

    _errors = False


class ErrorTrackingMiddleware(MetricsMiddleware):
    """Counts responses with a status of 400 or above, their durations, and unhandled exceptions."""

    _requests = False
