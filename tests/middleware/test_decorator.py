"""The decorator counts exceptions and preserves the function's behavior."""

import asyncio
import functools
import inspect
import pickle
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from relay.middleware import ApplicationMetrics, MetricsMiddleware, application_metrics, track_errors
from tests.middleware.driver import call, counted


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def metrics(registry: CollectorRegistry) -> ApplicationMetrics:
    return application_metrics(registry=registry)


def exceptions(registry: CollectorRegistry) -> dict[Any, float]:
    return counted(registry, "exceptions_total", "exception_type")


def test_a_function_keeps_result_name_and_signature(
    registry: CollectorRegistry, metrics: ApplicationMetrics
) -> None:
    @track_errors(metrics=metrics)
    def divide(one: int, by: int = 1) -> float:
        """The quotient."""
        return one / by

    assert divide(6, by=3) == 2
    with pytest.raises(ZeroDivisionError):
        divide(1, 0)

    assert (divide.__name__, divide.__doc__) == ("divide", "The quotient.")
    assert list(inspect.signature(divide).parameters) == ["one", "by"]
    assert exceptions(registry) == {"ZeroDivisionError": 1}
    assert counted(registry, "exceptions_total", "module") == {__name__: 1}


async def test_a_coroutine_function_remains_one(registry: CollectorRegistry, metrics: ApplicationMetrics) -> None:
    @track_errors(metrics=metrics, endpoint="/items/{id}", tenant_id=lambda tenant: tenant)
    async def failing(tenant: str) -> None:
        raise KeyError(tenant)

    assert inspect.iscoroutinefunction(failing)
    with pytest.raises(KeyError):
        await failing("acme")

    by_endpoint = counted(registry, "exceptions_by_endpoint_total", "endpoint", "exception_type", "tenant_id")
    assert by_endpoint == {("/items/{id}", "KeyError", "acme"): 1}


def _partial(call: Callable[..., Any]) -> Callable[..., Any]:
    return functools.partial(call)


def _wrapped(call: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(call)
    def wrapper(*args: Any) -> Any:
        return call(*args)

    return wrapper


@pytest.mark.parametrize("hide", [_partial, _wrapped])
async def test_a_wrapped_coroutine_function_is_recognized(
    registry: CollectorRegistry, metrics: ApplicationMetrics, hide: Callable[..., Any]
) -> None:
    async def failing() -> None:
        await asyncio.sleep(0)
        raise KeyError

    with pytest.raises(KeyError):
        await track_errors(metrics=metrics)(hide(failing))()

    assert exceptions(registry) == {"KeyError": 1}


async def test_a_canceled_coroutine_is_not_an_error(
    registry: CollectorRegistry, metrics: ApplicationMetrics
) -> None:
    @track_errors(metrics=metrics)
    async def waiting() -> None:
        await asyncio.Event().wait()

    task = asyncio.ensure_future(waiting())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert exceptions(registry) == {}


def test_a_generator_yields_receives_and_raises(registry: CollectorRegistry, metrics: ApplicationMetrics) -> None:
    @track_errors(metrics=metrics)
    def items() -> Iterator[Any]:
        got = yield 1
        yield got
        raise KeyError

    assert inspect.isgeneratorfunction(items)
    running: Any = items()
    assert (next(running), running.send("sent")) == (1, "sent")
    with pytest.raises(KeyError):
        next(running)

    assert exceptions(registry) == {"KeyError": 1}


async def test_an_asynchronous_generator_can_be_a_context_manager(
    registry: CollectorRegistry, metrics: ApplicationMetrics
) -> None:
    cleaned: list[str] = []

    @track_errors(metrics=metrics)
    async def session() -> AsyncIterator[str]:
        try:
            yield "session"
        except KeyError:
            cleaned.append("rolled back")
            raise
        finally:
            cleaned.append("closed")

    assert inspect.isasyncgenfunction(session)
    async with asynccontextmanager(session)() as given:
        assert given == "session"
    with pytest.raises(KeyError):
        async with asynccontextmanager(session)():
            raise KeyError

    assert cleaned == ["closed", "rolled back", "closed"]
    assert exceptions(registry) == {"KeyError": 1}


async def test_an_asynchronous_generator_receives_values_and_can_be_closed(
    registry: CollectorRegistry, metrics: ApplicationMetrics
) -> None:
    closed: list[bool] = []

    @track_errors(metrics=metrics)
    async def items() -> Any:
        try:
            got = yield 1
            yield got
        finally:
            closed.append(True)

    running = items()
    assert (await anext(running), await running.asend("sent")) == (1, "sent")
    await running.aclose()

    assert closed == [True]
    assert exceptions(registry) == {}


async def test_an_exception_in_decorator_and_middleware_counts_once(
    registry: CollectorRegistry, metrics: ApplicationMetrics
) -> None:
    @track_errors(metrics=metrics)
    async def inner() -> None:
        raise KeyError

    @track_errors(metrics=metrics)
    async def application(scope: Any, receive: Any, send: Any) -> None:
        await inner()

    with pytest.raises(KeyError):
        await call(MetricsMiddleware(application, metrics=metrics), "/")

    assert exceptions(registry) == {"KeyError": 1}
    assert counted(registry, "exceptions_by_endpoint_total", "exception_type") == {"KeyError": 1}


def test_a_counted_exception_can_still_be_pickled(metrics: ApplicationMetrics) -> None:
    @track_errors(metrics=metrics)
    def failing() -> None:
        raise KeyError("name")

    with pytest.raises(KeyError) as raised:
        failing()

    assert pickle.loads(pickle.dumps(raised.value)).args == ("name",)


def test_a_failing_tenant_callable_does_not_hide_the_exception(
    registry: CollectorRegistry, metrics: ApplicationMetrics
) -> None:
    @track_errors(tenant_id=lambda: "takes no arguments", metrics=metrics)
    def failing(number: int) -> None:
        raise KeyError(number)

    with pytest.raises(KeyError):
        failing(7)

    assert counted(registry, "exceptions_total", "exception_type", "tenant_id") == {("KeyError", "unknown"): 1}
