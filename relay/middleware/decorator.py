"""A decorator that counts the exceptions a function raises."""

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
CountException = Callable[[Exception, Any, Any], None]
"""Takes the exception and the arguments of the call that raised it."""


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
    """Count the exceptions that a function raises, and raise them again: `@track_errors`, or with arguments.

    Works on functions, coroutine functions, generators and asynchronous generators. Each exception counts in
    `exceptions`, and with an endpoint also in `exceptions_by_endpoint`. An exception that a middleware or another
    decorated function also sees counts once. Cancellation and other subclasses of BaseException do not count.

    Args:
        call: the function.
        endpoint: the endpoint that the function belongs to.
        tenant_id: the tenant, or a callable that gets the function's arguments on each exception. If it raises,
            the error is logged and the label is `unknown`.
        metrics: the metrics to update; by default `application_metrics()`.
    """

    def count(error: Exception, args: Any, kwargs: Any) -> None:
        try:
            tenant = tenant_id(*args, **kwargs) if callable(tenant_id) else tenant_id
        except Exception:
            _log.warning("the tenant of a call can't be determined", exc_info=True)
            tenant = None
        track_exception(error, endpoint=endpoint, tenant_id=tenant, metrics=metrics)

    def decorated(call: Callable[P, R]) -> Callable[P, R]:
        return functools.wraps(call)(_counting(call, count))

    return decorated if call is None else decorated(call)


def _counting(call: Callable[..., Any], count: CountException) -> Callable[..., Any]:
    """Wrap a function in one of the same kind, because frameworks depend on it."""
    if inspect.isasyncgenfunction(call):
        return _asynchronous_generator(call, count)
    if inspect.isgeneratorfunction(call):
        return _generator(call, count)
    if inspect.iscoroutinefunction(call):
        return _coroutine_function(call, count)
    return _function(call, count)


def _function(call: Callable[..., Any], count: CountException) -> Callable[..., Any]:
    def counting(*args: Any, **kwargs: Any) -> Any:
        try:
            result = call(*args, **kwargs)
        except Exception as error:
            count(error, args, kwargs)
            raise
        # A coroutine function wrapped by another decorator can look like a plain function.
        return _awaited(result, count, args, kwargs) if inspect.iscoroutine(result) else result

    return counting


def _coroutine_function(call: Callable[..., Any], count: CountException) -> Callable[..., Any]:
    async def counting(*args: Any, **kwargs: Any) -> Any:
        return await _awaited(call(*args, **kwargs), count, args, kwargs)

    return counting


async def _awaited(running: Awaitable[Any], count: CountException, args: Any, kwargs: Any) -> Any:
    try:
        return await running
    except Exception as error:
        count(error, args, kwargs)
        raise


def _generator(call: Callable[..., Any], count: CountException) -> Callable[..., Any]:
    def counting(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        try:
            return (yield from call(*args, **kwargs))
        except Exception as error:
            count(error, args, kwargs)
            raise

    return counting


def _asynchronous_generator(call: Callable[..., Any], count: CountException) -> Callable[..., Any]:
    async def counting(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        inner = call(*args, **kwargs)
        try:
            # Like `yield from`: FastAPI throws exceptions into its dependencies.
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
