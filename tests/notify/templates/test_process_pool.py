"""Are templates rendered apart from the relay, in bounds of time, memory and output, and by processes that end?"""

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
    """The processes that another one, or this, has started and that render."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((process / "stat").read_text().rpartition(")")[2].split()[1])
            words = (process / "cmdline").read_text()
        except OSError:
            continue
        if parent == (of or os.getpid()) and "relay.notify.templates.child_process" in words:
            found.append(int(process.name))
    return found


def task(**parts: str) -> PartsTask:
    return PartsTask(parts, PLAIN.name, msgspec.json.encode(DATA))


def failed(made: RenderResult) -> str:
    assert isinstance(made, RenderFailed)
    return made.error


@pytest.fixture
async def renderer() -> AsyncIterator[ProcessPool]:
    made = ProcessPool(render_timeout=0.5, wait_timeout=20)
    yield made
    await made.close()


async def test_the_process_starts_with_the_first_template_and_ends_with_the_pool(renderer: ProcessPool) -> None:
    assert children() == []
    assert await renderer.render(task(title="{{ alerts[0].labels.a }}")) == RenderedParts(Rendered(title="b"))
    assert len(children()) == 1
    await renderer.close()
    assert children() == []


async def test_a_template_that_timed_out_is_not_rendered_for_a_while(renderer: ProcessPool) -> None:
    assert failed(await renderer.render(task(body=ENDLESS))) == (
        "rendering took longer than 0.5 s; the template is paused for 60 s"
    )
    begun = time.monotonic()
    assert "the template is paused for" in failed(await renderer.render(task(body=ENDLESS)))
    assert time.monotonic() - begun < 0.4
    assert isinstance(await renderer.render(task(body="another")), RenderedParts)


@pytest.mark.slow
async def test_waiting_templates_are_rendered_after_slow_ones(renderer: ProcessPool) -> None:
    endless = [renderer.render(task(body=f"{ENDLESS}{at}")) for at in range(4)]
    *slow, quick = await asyncio.gather(*endless, renderer.render(task(title="quick")))
    assert quick == RenderedParts(Rendered(title="quick"))
    assert all("longer than" in failed(one) for one in slow)


async def test_a_message_does_not_wait_long_for_other_templates() -> None:
    renderer = ProcessPool(render_timeout=5, wait_timeout=0.3)
    first = [asyncio.create_task(renderer.render(task(body=f"{ENDLESS}{at}"))) for at in range(2)]
    await asyncio.sleep(0.1)
    assert "no process was free to render it within 0.3 s" in failed(await renderer.render(task(title="quick")))
    for one in first:
        one.cancel()
    await asyncio.gather(*first, return_exceptions=True)
    await renderer.close()
    assert children() == []


async def test_a_killed_process_is_replaced(renderer: ProcessPool) -> None:
    await renderer.render(task(title="x"))
    [process] = children()
    os.kill(process, signal.SIGKILL)
    made = [await renderer.render(task(title=f"again {at}")) for at in range(2)]
    assert made[1] == RenderedParts(Rendered(title="again 1"))


async def test_the_process_has_no_secrets_in_its_environment(
    renderer: ProcessPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RELAY_SECRET_KEY", "a-secret")
    await renderer.render(task(title="x"))
    [process] = children()
    assert b"RELAY" not in Path(f"/proc/{process}/environ").read_bytes()


async def test_an_error_names_the_part_and_the_line(renderer: ProcessPool) -> None:
    assert failed(await renderer.render(task(alert="a\nb {{ nothing }}"))) == (
        "alert, line 2: 'nothing' is undefined"
    )
    body = BodyTask("{{ nothing }}", msgspec.json.encode(DATA))
    assert failed(await renderer.render(body)) == "line 1: 'nothing' is undefined"
    assert await renderer.render(
        BodyTask("{{ alerts | tojson }}", msgspec.json.encode({"alerts": 1}))
    ) == RenderedBody("1")


@pytest.mark.slow
def test_the_process_ends_when_the_relay_is_killed_while_a_template_runs() -> None:
    script = (
        "import asyncio\n"
        "from relay.notify.templates.process_pool import ProcessPool\n"
        "from relay.notify.templates.child_process import BodyTask\n"
        "async def main():\n"
        f"    await ProcessPool(render_timeout=60).render(BodyTask({ENDLESS!r}, b'{{}}'))\n"
        "asyncio.run(main())\n"
    )
    relay = subprocess.Popen([sys.executable, "-c", script])
    patience = time.monotonic() + 20
    while not (found := children(relay.pid)) and time.monotonic() < patience:
        time.sleep(0.02)
    [process] = found
    time.sleep(0.5)
    relay.kill()
    relay.wait()
    patience = time.monotonic() + 20
    while Path(f"/proc/{process}/cmdline").exists() and time.monotonic() < patience:
        if not Path(f"/proc/{process}/cmdline").read_bytes():
            return  # it has ended, and nobody has asked how
        time.sleep(0.05)
    assert not Path(f"/proc/{process}").exists()
