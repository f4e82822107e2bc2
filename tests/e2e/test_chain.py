"""End to end: an application's errors, Prometheus, Alertmanager, the relay, and Slack.

It uses the files of deploy/ with other addresses, and with seconds in place of minutes.
"""

import asyncio
import re
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from tests.fixtures.daemons import daemon
from tests.fixtures.processes import ROOT, create_channel, free_port, on_database, relay_process
from tests.fixtures.sink import Sink
from tests.notify.strict.slack import SLACK_HOOK, StrictSlack

DEPLOY = ROOT / "deploy"
DEMO = str(DEPLOY / "demo/demo.py")
PROMETHEUS = shutil.which("prometheus")
ALERTMANAGER = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
TOKEN = "token-of-the-webhook"
RATE = 30
"""Errors per second: enough for HighErrorRate, too few for CriticalErrorRate, which would inhibit it."""
MAX_LOAD = 60
MAX_WAIT = 90.0

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        PROMETHEUS is None or ALERTMANAGER is None,
        reason="Prometheus or Alertmanager is missing: apt-get install prometheus prometheus-alertmanager",
    ),
]


async def test_errors_of_an_application_are_sent_to_slack_and_resolved_when_they_stop(
    database_url: str, sink: Sink, tmp_path: Path
) -> None:
    sink.script = slack = StrictSlack()
    environ = on_database(database_url) | {"RELAY_WEBHOOK_TOKEN": TOKEN, "RELAY_REPEAT_AFTER": "1"}
    async with relay_process(environ) as relay, monitored(tmp_path, relay.url) as demo:
        await create_channel(
            relay.url,
            name="Ops",
            channel_type="slack",
            webhook_url=f"{sink.url}{SLACK_HOOK}",
            alert_names=["HighErrorRate"],
        )
        async with load(demo):
            await wait_for_messages(slack, 1)
        await wait_for_messages(slack, 2)

    firing, resolved = slack.texts
    assert firing.startswith("*[FIRING:1] HighErrorRate*")
    assert re.search(r"\d requests per second fail", firing)
    assert resolved.startswith("*[RESOLVED:1] HighErrorRate*")


async def wait_for_messages(slack: StrictSlack, count: int) -> None:
    """Wait for a number of messages."""
    async with asyncio.timeout(MAX_WAIT):
        while len(slack.messages) < count:
            await asyncio.sleep(0.1)


@asynccontextmanager
async def monitored(folder: Path, relay_url: str) -> AsyncIterator[str]:
    """The demo application, a Prometheus that scrapes it, and an Alertmanager that sends to the relay."""
    assert PROMETHEUS is not None
    assert ALERTMANAGER is not None
    demo, prometheus, alertmanager = (f"127.0.0.1:{free_port()}" for _ in range(3))
    replacements = {"demo:8000": demo, "alertmanager:9093": alertmanager, "http://relay:8080": relay_url}
    (folder / "token").write_text(TOKEN)
    replacements["/run/secrets/relay_webhook_token"] = str(folder / "token")
    for name in (
        "prometheus/prometheus.yml",
        "alertmanager/alertmanager.yml",
        "prometheus/alerts/error-alerts.yml",
    ):
        copy = folder / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(sped_up((DEPLOY / name).read_text(), replacements))
    async with AsyncExitStack() as stack:
        for ready, *command in (
            (f"{demo}/ok", sys.executable, DEMO, "serve", "--port", demo.rpartition(":")[2]),
            (
                f"{alertmanager}/-/ready",
                ALERTMANAGER,
                f"--config.file={folder}/alertmanager/alertmanager.yml",
                f"--storage.path={folder}/alerts",
                f"--web.listen-address={alertmanager}",
                "--cluster.listen-address=",
            ),
            (
                f"{prometheus}/-/ready",
                PROMETHEUS,
                f"--config.file={folder}/prometheus/prometheus.yml",
                f"--storage.tsdb.path={folder}/series",
                f"--web.listen-address={prometheus}",
            ),
        ):
            await stack.enter_async_context(daemon(f"http://{ready}", *command))
        yield f"http://{demo}"


def sped_up(text: str, replacements: dict[str, str]) -> str:
    """A file of deploy/ with other addresses, and with seconds in place of minutes."""
    for before, after in replacements.items():
        text = text.replace(before, after)
    text = re.sub(r"\[\d+m\]", "[8s]", text)
    text = re.sub(r"\bfor: \S+", "for: 1s", text)
    return re.sub(r"\b(scrape_interval|evaluation_interval|group_wait|group_interval): \S+", r"\1: 1s", text)


@asynccontextmanager
async def load(demo: str) -> AsyncIterator[None]:
    """Make the application respond with errors during a block, for at most MAX_LOAD seconds."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, DEMO, "load", "--url", demo, "--rate", str(RATE), "--seconds", str(MAX_LOAD)),
        stdout=asyncio.subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
