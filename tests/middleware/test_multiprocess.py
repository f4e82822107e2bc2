"""Multi-process mode: each worker process serves the exact metrics of all."""

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

WORKERS = 4
CONCURRENCY = 32
TIMEOUT = 60.0
APPLICATION = """
import asyncio, os
from fastapi import FastAPI, HTTPException
from prometheus_client import CollectorRegistry
from relay.middleware import MetricsMiddleware, application_metrics, metrics_app, track_redis_error

api = FastAPI()
api.add_route("/metrics", metrics_app())

@api.get("/work/{number}")
async def work(number: int) -> int:
    await asyncio.sleep(0.01)
    track_redis_error("get", "acme")
    if number % 2:
        raise HTTPException(404)
    return os.getpid()

app = MetricsMiddleware(api)
# A second application in the same processes, with its own registry.
MetricsMiddleware(api, metrics=application_metrics(registry=CollectorRegistry()))
"""


@pytest.fixture
def served_url(tmp_path: Path) -> Iterator[str]:
    """The URL of an application with several worker processes."""
    (tmp_path / "counted_application.py").write_text(APPLICATION)
    (tmp_path / "metrics").mkdir()
    environment = os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path / "metrics")}
    command = [sys.executable, "-m", "uvicorn", "counted_application:app", "--port", "0", "--no-access-log"]
    with subprocess.Popen(
        [*command, "--workers", str(WORKERS)], cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield when_started(process)
        finally:
            process.terminate()
            process.communicate()


def when_started(process: subprocess.Popen[str]) -> str:
    """The URL, as soon as all workers listen."""
    assert process.stderr is not None
    url, started = "", 0
    for line in process.stderr:
        if found := re.search(r"running on (http://\S+)", line):
            url = found[1]
        started += "startup complete" in line
        if started == WORKERS:
            return url
    raise AssertionError("uvicorn did not start")


async def fetch(session: aiohttp.ClientSession, url: str) -> str:
    async with session.get(url, headers={"Connection": "close"}) as response:
        return await response.text()


async def test_every_worker_serves_the_exact_sum_over_all(served_url: str) -> None:
    processes: set[str] = set()
    sent = 0
    async with aiohttp.ClientSession() as session, asyncio.timeout(TIMEOUT):
        while len(processes) < WORKERS:
            urls = [f"{served_url}/work/{number}" for number in range(CONCURRENCY)]
            responses = await asyncio.gather(*(fetch(session, url) for url in urls))
            sent += len(responses)
            processes |= set(responses[::2])

        for _ in range(WORKERS):
            page = await fetch(session, f"{served_url}/metrics")
            samples = [
                sample
                for family in text_string_to_metric_families(page)
                for sample in family.samples
                if sample.labels.get("endpoint") == "/work/{number}" or "redis" in sample.name
            ]

            def total(name: str, **labels: str) -> float:
                return sum(
                    sample.value
                    for sample in samples  # noqa: B023 -- called within this iteration
                    if sample.name == f"dotmac_{name}" and labels.items() <= sample.labels.items()
                )

            assert total("http_requests_total", status_code="200") == sent / 2
            assert total("http_requests_total", status_code="404") == sent / 2
            assert total("http_4xx_errors_total") == sent / 2
            assert total("http_request_duration_seconds_count") == sent
            assert total("redis_errors_total", operation="get", tenant_id="acme") == sent
