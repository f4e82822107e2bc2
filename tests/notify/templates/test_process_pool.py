"""Rendering of templates in child processes, with limits on time, memory and output."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from relay.domain.notifications import Rendered
from relay.notify.templates.child_process import (
    BodyTask,
    PartsTask,
    RenderedBody,
    RenderedParts,
    RenderFailed,
    RenderResult,
)
from relay.notify.templates.process_pool import ProcessPool
from relay.notify.text.markup import PLAIN

ENDLESS = "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}"
DATA: dict[str, Any] = {
    "alerts": [{"labels": {"a": "b"}, "annotations": {}}],
    "group_labels": {},
    "common_labels": {},
    "common_annotations": {},
}


def children(of: int | None = None) -> list[int]:
    """The rendering processes that a process, by default this one, has started."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((process / "stat").read_text().rpartition(")")[2].split()[1])
            command = (process / "cmdline").read_text()
        except OSError:
            continue
        if parent == (of or os.getpid()) and "relay.notify.templates.child_process" in command:
            found.append(int(process.name))
    return found


def task(**parts: str) -> PartsTask:
    return PartsTask(parts, PLAIN.name, msgspec.json.encode(DATA))


def failed(result: RenderResult) -> str:
    assert isinstance(result, RenderFailed)
    return result.error


@pytest.fixture
async def pool() -> AsyncIterator[ProcessPool]:
    created = ProcessPool(render_timeout=0.5, wait_timeout=20)
    yield created
    await created.close()


async def test_the_process_starts_with_the_first_template_and_ends_with_the_pool(pool: ProcessPool) -> None:
    assert children() == []
    assert await pool.render(task(title="{{ alerts[0].labels.a }}")) == RenderedParts(Rendered(title="b"))
    assert len(children()) == 1
    await pool.close()
    assert children() == []


async def test_a_template_that_timed_out_is_not_rendered_for_a_while(pool: ProcessPool) -> None:
    assert failed(await pool.render(task(body=ENDLESS))) == (
        "rendering took longer than 0.5 s; the template is paused for 60 s"
    )
    started = time.monotonic()
    assert "the template is paused for" in failed(await pool.render(task(body=ENDLESS)))
    assert time.monotonic() - started < 0.4
    assert isinstance(await pool.render(task(body="another")), RenderedParts)


@pytest.mark.slow
async def test_waiting_templates_are_rendered_after_slow_ones(pool: ProcessPool) -> None:
    endless = [pool.render(task(body=f"{ENDLESS}{at}")) for at in range(4)]
    *slow, quick = await asyncio.gather(*endless, pool.render(task(title="quick")))
    assert quick == RenderedParts(Rendered(title="quick"))
    assert all("longer than" in failed(one) for one in slow)


async def test_a_message_does_not_wait_long_for_other_templates() -> None:
    pool = ProcessPool(render_timeout=5, wait_timeout=0.3)
    first = [asyncio.create_task(pool.render(task(body=f"{ENDLESS}{at}"))) for at in range(2)]
    await asyncio.sleep(0.1)
    assert "no process was free to render it within 0.3 s" in failed(await pool.render(task(title="quick")))
    for one in first:
        one.cancel()
    await asyncio.gather(*first, return_exceptions=True)
    await pool.close()
    assert children() == []


async def test_a_killed_process_is_replaced(pool: ProcessPool) -> None:
    await pool.render(task(title="x"))
    [process] = children()
    os.kill(process, signal.SIGKILL)
    results = [await pool.render(task(title=f"again {at}")) for at in range(2)]
    assert results[1] == RenderedParts(Rendered(title="again 1"))


async def test_the_process_has_no_secrets_in_its_environment(
    pool: ProcessPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RELAY_SECRET_KEY", "a-secret")
    await pool.render(task(title="x"))
    [process] = children()
    assert b"RELAY" not in Path(f"/proc/{process}/environ").read_bytes()


async def test_an_error_names_the_part_and_the_line(pool: ProcessPool) -> None:
    assert failed(await pool.render(task(alert="a\nb {{ nothing }}"))) == ("alert, line 2: 'nothing' is undefined")
    body = BodyTask("{{ nothing }}", msgspec.json.encode(DATA))
    assert failed(await pool.render(body)) == "line 1: 'nothing' is undefined"
    assert await pool.render(BodyTask("{{ alerts | length }}", msgspec.json.encode(DATA))) == RenderedBody("1")


@pytest.mark.slow
def test_the_process_ends_when_the_relay_is_killed_while_a_template_runs() -> None:
    script = (
        "import asyncio\n"
        "from relay.notify.templates.process_pool import ProcessPool\n"
        "from relay.notify.templates.child_process import BodyTask\n"
        "async def main():\n"
        f"    await ProcessPool(render_timeout=60).render(BodyTask({ENDLESS!r}, {msgspec.json.encode(DATA)!r}))\n"
        "asyncio.run(main())\n"
    )
    relay = subprocess.Popen([sys.executable, "-c", script])
    deadline = time.monotonic() + 20
    while not (found := children(relay.pid)) and time.monotonic() < deadline:
        time.sleep(0.02)
    [process] = found
    time.sleep(0.5)
    relay.kill()
    relay.wait()
    deadline = time.monotonic() + 20
    while Path(f"/proc/{process}/cmdline").exists() and time.monotonic() < deadline:
        if not Path(f"/proc/{process}/cmdline").read_bytes():
            return  # a zombie: it has ended
        time.sleep(0.05)
    assert not Path(f"/proc/{process}").exists()
