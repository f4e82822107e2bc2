"""Does each of several worker processes answer for all of them, with exact counts?"""

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
AT_ONCE = 32
PATIENCE = 60.0
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
# A second application in the same processes, with a registry of its own.
MetricsMiddleware(api, metrics=application_metrics(registry=CollectorRegistry()))
"""


@pytest.fixture
def served(tmp_path: Path) -> Iterator[str]:
    """The URL of an application that several processes serve."""
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
    """The URL, once all workers listen."""
    assert process.stderr is not None
    url, started = "", 0
    for line in process.stderr:
        if found := re.search(r"running on (http://\S+)", line):
            url = found[1]
        started += "startup complete" in line
        if started == WORKERS:
            return url
    raise AssertionError("uvicorn did not start")


async def ask(session: aiohttp.ClientSession, url: str) -> str:
    async with session.get(url, headers={"Connection": "close"}) as answer:
        return await answer.text()


async def test_the_sum_over_four_workers_is_exact_whoever_is_asked(served: str) -> None:
    processes: set[str] = set()
    asked = 0
    async with aiohttp.ClientSession() as session, asyncio.timeout(PATIENCE):
        while len(processes) < WORKERS:
            urls = [f"{served}/work/{number}" for number in range(AT_ONCE)]
            answers = await asyncio.gather(*(ask(session, url) for url in urls))
            asked += len(answers)
            processes |= set(answers[::2])

        for _ in range(WORKERS):
            page = await ask(session, f"{served}/metrics")
            samples = [
                sample
                for family in text_string_to_metric_families(page)
                for sample in family.samples
                if sample.labels.get("endpoint") == "/work/{number}" or "redis" in sample.name
            ]

            def total(name: str, **labels: str) -> float:
                return sum(
                    sample.value
                    for sample in samples  # noqa: B023 -- asked within this round
                    if sample.name == f"dotmac_{name}" and labels.items() <= sample.labels.items()
                )

            assert total("http_requests_total", status_code="200") == asked / 2
            assert total("http_requests_total", status_code="404") == asked / 2
            assert total("http_4xx_errors_total") == asked / 2
            assert total("http_request_duration_seconds_count") == asked
            assert total("redis_errors_total", operation="get", tenant_id="acme") == asked
