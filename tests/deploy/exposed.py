"""Which metrics do the relay, the middleware and the stock exporters really show?"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from relay.telemetry import Metrics
from tests.deploy.application import page_after_trouble
from tests.deploy.files import Rule, program, rules
from tests.deploy.promql import grouped_by, selectors
from tests.fixtures.daemons import daemon
from tests.fixtures.processes import free_port

Exposed = dict[str, dict[str, set[str]]]
"""Name of a sample → its labels → their values; none where the labels alone are known."""

OF_THE_TARGET = ("job", "instance")
PROMETHEUS, with_prometheus = program("prometheus", "prometheus")
ALERTMANAGER, with_alertmanager = program("alertmanager", "prometheus-alertmanager")
NODE_EXPORTER, with_node_exporter = program("node-exporter", "prometheus-node-exporter")


async def exposed_by_the_middleware() -> Exposed:
    """Of an application on which each kind of trouble has been; the labels alone, for their values are its own."""
    shown = on_page(await page_after_trouble())
    return {sample: {label: set() for label in labels} for sample, labels in shown.items()}


def exposed_by_the_relay() -> Exposed:
    """What a process shows that has delivered: before that, histograms by channel type show nothing."""
    metrics = Metrics()
    for histogram in (metrics.attempt_seconds, metrics.delivery_seconds):
        histogram.labels("slack")
    return on_page(generate_latest(metrics.registry).decode())


def exposed_by_rules() -> Exposed:
    """What Prometheus makes of the rules themselves."""
    alerts, records = rules("alert"), rules("record")
    labels = {"alertname": {alert["alert"] for alert in alerts}, "alertstate": {"pending", "firing"}}
    for label in ("severity", "category"):
        labels[label] = {alert["labels"][label] for alert in alerts}
    return {"ALERTS": labels} | {record["record"]: _left_by(record, records) for record in records}


def _left_by(record: Rule, records: list[Rule]) -> dict[str, set[str]]:
    """The labels that a recording rule groups by, or that those it is made of do."""
    labels = grouped_by(record["expr"])
    asked = {selector.metric for selector in selectors(record["expr"])}
    for other in records:
        if not labels and other["record"] in asked:
            return _left_by(other, records)
    return {label: set() for label in labels}


async def exposed_by(program: str | None, *words: str) -> Exposed:
    """What a program shows at /metrics soon after its start."""
    async with (
        running(program, *words) as url,
        aiohttp.ClientSession() as session,
        session.get(f"{url}/metrics") as page,
    ):
        return on_page(await page.text())


def on_page(page: str) -> Exposed:
    found: Exposed = {}
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            labels = found.setdefault(sample.name, {})
            for label, value in sample.labels.items():
                labels.setdefault(label, set()).add(value)
    return found


@asynccontextmanager
async def running(program: str | None, *words: str) -> AsyncIterator[str]:
    """The URL of a program that serves HTTP, until the block ends."""
    assert program is not None
    address = f"127.0.0.1:{free_port()}"
    async with daemon(f"http://{address}/metrics", program, *words, f"--web.listen-address={address}"):
        yield f"http://{address}"
