"""What became of each request, how long did it take, and whose was it?

Around any ASGI application, best as the outermost layer, so that what other layers answer is counted too.
A request is counted when its answer is complete, just before the server gets the last part of it; so work that a
framework does afterwards is not in its time. What gets no complete answer is counted when the application returns:

- it raised before it answered, or did not answer at all: 500, as the server then says;
- its client went away before it answered, or the server cancelled it: 499, which nobody is sent;
- its answer broke off: the status that had been sent.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from time import perf_counter
from typing import Any, ClassVar, Final

from relay.middleware.answers import Answer, Count
from relay.middleware.frameworks import NOTED
from relay.middleware.labels import UNKNOWN, UNMATCHED, named
from relay.middleware.metrics import ApplicationMetrics, application_metrics
from relay.middleware.routes import endpoint_of
from relay.middleware.tenants import Tenant, nobody
from relay.middleware.tracking import track_exception

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Any, Any, Any], Awaitable[None]]

CLIENT_GONE: Final = 499
"""As nginx logs it."""
_BODY: Final = frozenset(("http.response.body", "http.response.pathsend", "http.response.zerocopysend"))
# https://asgi.readthedocs.io/en/latest/extensions.html

_log = logging.getLogger(__name__)


class MetricsMiddleware:
    """Requests, their errors and their time, in one pass: what the two others below do, for less."""

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
            app: the application; what is not HTTP passes through to it untouched.
            metrics: where to count; by default `application_metrics()`.
            tenant: whose request it is, by its scope: `from_state()`, `from_header("X-Tenant-ID")`, or any
                callable; by default every tenant is `unknown`. Asked when the answer is complete, so that what an
                inner layer wrote there can be read.
            endpoint: the template of the route, by the scope; asked at the same moment. Nothing is `unmatched`.
        """
        self._app = app
        self._metrics = metrics or application_metrics()
        self._tenant = tenant or nobody
        self._endpoint = endpoint
        self._counts: dict[tuple[str, str, int, str], Count] = {}
        self._mark = f"relay.middleware.{type(self).__name__}.{id(self._metrics)}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, watch, count."""
        # A mounted application may wear the same: then the outer one counts.
        if scope["type"] != "http" or self._mark in scope:
            await self._app(scope, receive, send)
            return
        scope[self._mark] = True
        started = perf_counter()
        status = 0
        complete = gone = False

        async def heard() -> Message:
            nonlocal gone
            message = await receive()
            gone |= message["type"] == "http.disconnect"
            return message

        # Not a coroutine of its own: it hands on that of the server, which spares one for each message.
        def watched(message: Message) -> Awaitable[None]:
            nonlocal status, complete
            kind = message["type"]
            if kind == "http.response.start":
                # What is sent to a client that is gone, such as the framework's 500, nobody gets.
                status = CLIENT_GONE if gone else message["status"]
            elif kind in _BODY and not message.get("more_body") and not complete:
                complete = True
                self._answered(scope, status, perf_counter() - started)
            return send(message)

        try:
            await self._app(scope, heard, watched)
        except asyncio.CancelledError:
            gone = True
            raise
        except Exception as error:
            # What an application raises because its client is gone is no fault of it.
            if not gone or (complete and status != CLIENT_GONE):
                self._raised(scope, error)
            raise
        finally:
            if not complete:
                self._answered(scope, status or (CLIENT_GONE if gone else 500), perf_counter() - started)

    def _answered(self, scope: Scope, status: int, seconds: float) -> None:
        try:
            endpoint, tenant = self._endpoint(scope), self._tenant(scope)
            key = (
                scope["method"],
                endpoint if type(endpoint) is str else named(endpoint or UNMATCHED),
                status,
                tenant if type(tenant) is str else named(tenant),
            )
        except Exception:
            key = (scope["method"], self._endpoint_of(scope), status, self._tenant_of(scope))
        count = self._counts.get(key)
        if count is None:
            count = self._count_of(*key)
        count(seconds)
        if status >= 500 and NOTED in scope:
            self._raised(scope, scope[NOTED])

    def _raised(self, scope: Scope, error: Exception) -> None:
        if not self._errors:
            return
        endpoint, tenant = self._endpoint_of(scope), self._tenant_of(scope)
        track_exception(error, endpoint=endpoint, tenant_id=tenant, metrics=self._metrics)

    def _count_of(self, method: str, endpoint: str, status: int, tenant: str) -> Count:
        """Kept under the labels after bounding, of which there can't be ever more."""
        asked = Answer(method, endpoint or UNMATCHED, str(status), named(tenant), self._requests, self._errors)
        answer = self._metrics.bounded(asked)
        key = (answer.method, answer.endpoint, status, answer.tenant_id)
        count = self._counts.get(key)
        if count is None:
            count = self._metrics.answers(answer)
            if answer.status_code == asked.status_code:
                self._counts[key] = count
        return count

    def _endpoint_of(self, scope: Scope) -> str:
        try:
            return named(self._endpoint(scope) or UNMATCHED)
        except Exception:
            _log.warning("the endpoint of a request can't be told", exc_info=True)
            return UNMATCHED

    def _tenant_of(self, scope: Scope) -> str:
        try:
            return named(self._tenant(scope))
        except Exception:
            _log.warning("the tenant of a request can't be told", exc_info=True)
            return UNKNOWN


class RequestMetricsMiddleware(MetricsMiddleware):
    """How many requests, by status, and how long they take."""

    _errors = False


class ErrorTrackingMiddleware(MetricsMiddleware):
    """Answers of 400 and above, their time, and the exceptions that nobody handled."""

    _requests = False
