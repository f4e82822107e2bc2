"""Which exceptions leave this function?"""

import functools
import inspect
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from typing import Any, ParamSpec, TypeVar, overload

from relay.middleware.metrics import ApplicationMetrics
from relay.middleware.tracking import track_exception

_log = logging.getLogger(__name__)

P = ParamSpec("P")
R = TypeVar("R")
Count = Callable[[Exception, Any, Any], None]
"""Is given the exception, and the arguments of the call that it left."""


@overload
def track_errors(call: Callable[P, R], /) -> Callable[P, R]: ...
@overload
def track_errors(
    *,
    endpoint: str | None = None,
    tenant_id: object = None,
    metrics: ApplicationMetrics | None = None,
) -> Callable[[Callable[P, R]], Callable[P, R]]: ...
def track_errors(
    call: Callable[P, R] | None = None,
    /,
    *,
    endpoint: str | None = None,
    tenant_id: object = None,
    metrics: ApplicationMetrics | None = None,
) -> Callable[P, R] | Callable[[Callable[P, R]], Callable[P, R]]:
    """Count the exceptions that leave a function, and let them go on: `@track_errors`, or with arguments.

    Works on functions, coroutine functions, generators and asynchronous generators. Each exception counts in
    `exceptions`, with an endpoint also in `exceptions_by_endpoint`; one that a middleware or another decorated
    function sees too counts once. Cancellation, and what else is no `Exception`, is none.

    Args:
        call: the function.
        endpoint: where it belongs to.
        tenant_id: whose calls they are; a callable is asked at each exception, with the function's arguments. One
            that raises is logged, and costs the label.
        metrics: where to count; by default `application_metrics()`.
    """

    def count(error: Exception, args: Any, kwargs: Any) -> None:
        try:
            tenant = tenant_id(*args, **kwargs) if callable(tenant_id) else tenant_id
        except Exception:
            _log.warning("the tenant of a call can't be told", exc_info=True)
            tenant = None
        track_exception(error, endpoint=endpoint, tenant_id=tenant, metrics=metrics)

    def decorated(call: Callable[P, R]) -> Callable[P, R]:
        return functools.wraps(call)(_counting(call, count))

    return decorated if call is None else decorated(call)


def _counting(call: Callable[..., Any], count: Count) -> Callable[..., Any]:
    """A function of the same kind, for frameworks look at the kind."""
    if inspect.isasyncgenfunction(call):
        return _asynchronous_generator(call, count)
    if inspect.isgeneratorfunction(call):
        return _generator(call, count)
    if inspect.iscoroutinefunction(call):
        return _coroutine_function(call, count)
    return _function(call, count)


def _function(call: Callable[..., Any], count: Count) -> Callable[..., Any]:
    def counting(*args: Any, **kwargs: Any) -> Any:
        try:
            result = call(*args, **kwargs)
        except Exception as error:
            count(error, args, kwargs)
            raise
        # Wrapped by others, a coroutine function may look like any function.
        return _awaited(result, count, args, kwargs) if inspect.iscoroutine(result) else result

    return counting


def _coroutine_function(call: Callable[..., Any], count: Count) -> Callable[..., Any]:
    async def counting(*args: Any, **kwargs: Any) -> Any:
        return await _awaited(call(*args, **kwargs), count, args, kwargs)

    return counting


async def _awaited(running: Awaitable[Any], count: Count, args: Any, kwargs: Any) -> Any:
    try:
        return await running
    except Exception as error:
        count(error, args, kwargs)
        raise


def _generator(call: Callable[..., Any], count: Count) -> Callable[..., Any]:
    def counting(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        try:
            return (yield from call(*args, **kwargs))
        except Exception as error:
            count(error, args, kwargs)
            raise

    return counting


def _asynchronous_generator(call: Callable[..., Any], count: Count) -> Callable[..., Any]:
    async def counting(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        inner = call(*args, **kwargs)
        try:
            # What `yield from` does for others: FastAPI throws into its dependencies.
            step = inner.__anext__()
            while True:
                try:
                    item = await step
                except StopAsyncIteration:
                    return
                try:
                    step = inner.asend((yield item))
                except Exception as thrown:
                    step = inner.athrow(thrown)
        except Exception as error:
            count(error, args, kwargs)
            raise
        finally:
            await inner.aclose()

    return counting
