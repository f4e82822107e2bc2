"""The demo application: errors on request, its metrics, and the messages that it receives."""

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.fixtures.processes import free_port
from tests.fixtures.relays import RelayFactory, alert, webhook

DEMO = Path(__file__).parent.parent.parent / "deploy/demo/demo.py"
TIMEOUT = 30.0


class Demo:
    """A client of the demo application, which runs as a process."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self.url = url
        self._session = session

    async def get(self, path: str) -> tuple[int, str]:
        async with self._session.get(self.url + path) as response:
            return response.status, await response.text()

    async def post(self, path: str, body: bytes = b"") -> tuple[int, str]:
        async with self._session.post(self.url + path, data=body) as response:
            return response.status, await response.text()

    async def messages(self) -> list[str]:
        """The messages in its sink, each as text."""
        async with self._session.get(f"{self.url}/sink/messages") as response:
            return [str(entry["message"]) for entry in await response.json()]

    async def count(self, metric: str, **labels: str) -> float:
        """The sum of a metric over all series with these labels."""
        _, page = await self.get("/metrics")
        return sum(
            sample.value
            for family in text_string_to_metric_families(page)
            for sample in family.samples
            if sample.name == metric and labels.items() <= sample.labels.items()
        )


@pytest.fixture
async def demo() -> AsyncIterator[Demo]:
    port = free_port()
    process = await asyncio.create_subprocess_exec(sys.executable, str(DEMO), "serve", "--port", str(port))
    try:
        async with aiohttp.ClientSession() as session:
            client = Demo(f"http://127.0.0.1:{port}", session)

            async def responds() -> bool:
                try:
                    return await client.get("/ok") == (200, "ok")
                except aiohttp.ClientError:
                    return False

            await until(responds)
            yield client
    finally:
        process.terminate()
        assert await asyncio.wait_for(process.wait(), TIMEOUT) is not None


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(TIMEOUT):
        while not await condition():
            await asyncio.sleep(0.05)


async def test_an_error_is_returned_as_requested_and_counted(demo: Demo) -> None:
    assert (await demo.get("/error"))[0] == 500
    assert (await demo.get("/error?status=404"))[0] == 404
    assert (await demo.get("/exception"))[0] == 500
    assert (await demo.get("/nowhere"))[0] == 404

    assert await demo.count("dotmac_http_errors_total") == 4
    assert await demo.count("dotmac_http_errors_total", endpoint="/error") == 2
    assert await demo.count("dotmac_http_5xx_errors_total", endpoint="/error", status_code="500") == 1
    assert await demo.count("dotmac_exceptions_total", exception_type="RuntimeError") == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("/load?rate=201", "rate must be a number from 1 to 200"),
        ("/load?seconds=0", "seconds must be a number from 1 to 600"),
        ("/load?rate=" + "9" * 5000, "rate must be"),
        ("/load?status=200", "status must be a number from 400 to 599"),
    ],
)
async def test_a_load_is_bounded(demo: Demo, path: str, error: str) -> None:
    status, text = await demo.post(path)
    assert (status, error in text) == (400, True)


@pytest.mark.slow
async def test_a_load_makes_the_requested_errors_and_runs_alone(demo: Demo) -> None:
    assert (await demo.post("/load?rate=20&seconds=2&status=503"))[0] == 202
    assert (await demo.post("/load"))[0] == 409

    async def all_arrived() -> bool:
        return await demo.count("dotmac_http_5xx_errors_total", status_code="503") >= 30

    await until(all_arrived)
    assert await demo.count("dotmac_http_5xx_errors_total", status_code="503") <= 40


@pytest.mark.slow
async def test_the_load_command_makes_the_same_errors(demo: Demo) -> None:
    arguments = ["load", "--url", demo.url, "--rate", "50", "--seconds", "1", "--status", "502"]
    script = await asyncio.create_subprocess_exec(
        sys.executable, str(DEMO), *arguments, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await script.communicate()

    errors = int(out.split()[0])
    assert script.returncode == 0
    assert 0 < errors <= 50
    assert await demo.count("dotmac_http_5xx_errors_total", status_code="502") == errors


@pytest.mark.slow
async def test_messages_from_the_relay_are_shown(demo: Demo, start_relay: RelayFactory) -> None:
    relay = await start_relay()
    await relay.channel(name="Demo", channel_type="slack", webhook_url=f"{demo.url}/sink/slack")

    await relay.webhook(webhook(alert("HighErrorRate", severity="warning")))

    async def arrived() -> bool:
        return any("HighErrorRate" in message for message in await demo.messages())

    await until(arrived)
    status, page = await demo.get("/")
    assert (status, "What the relay posted" in page) == (200, True)


@pytest.mark.slow
async def test_the_sink_rejects_invalid_messages(demo: Demo) -> None:
    assert await demo.post("/sink/slack", b"not JSON") == (400, "invalid_payload")
    assert await demo.post("/sink/slack", b"null") == (400, "invalid_payload")
    assert (await demo.post("/sink/slack", b"[" * 300_000))[0] == 413
    assert (await demo.post("/sink/slack", b"[" * 100_000))[0] == 400
    assert await demo.messages() == []
