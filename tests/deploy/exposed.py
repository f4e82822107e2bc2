"""The metrics that the relay, the middleware and other exporters export."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from relay.telemetry import Metrics
from tests.deploy.application import metrics_page_after_errors
from tests.deploy.files import Rule, program, rules
from tests.deploy.promql import grouped_by, selectors
from tests.fixtures.daemons import daemon
from tests.fixtures.processes import free_port

Exposed = dict[str, dict[str, set[str]]]
"""Name of a sample → its labels → their values; empty where only the labels are known."""

TARGET_LABELS = ("job", "instance")
PROMETHEUS, with_prometheus = program("prometheus", "prometheus")
ALERTMANAGER, with_alertmanager = program("alertmanager", "prometheus-alertmanager")
NODE_EXPORTER, with_node_exporter = program("node-exporter", "prometheus-node-exporter")


async def exposed_by_the_middleware() -> Exposed:
    """The metrics of an application after one error of each kind; labels only, because values depend on it."""
    samples = on_page(await metrics_page_after_errors())
    return {sample: {label: set() for label in labels} for sample, labels in samples.items()}


def exposed_by_the_relay() -> Exposed:
    """The metrics of a process that has delivered; before that, histograms by channel type have no series."""
    metrics = Metrics()
    for histogram in (metrics.attempt_seconds, metrics.delivery_seconds):
        histogram.labels("slack")
    return on_page(generate_latest(metrics.registry).decode())


def exposed_by_rules() -> Exposed:
    """The metrics that Prometheus derives from the rules."""
    alerts, records = rules("alert"), rules("record")
    labels = {"alertname": {alert["alert"] for alert in alerts}, "alertstate": {"pending", "firing"}}
    for label in ("severity", "category"):
        labels[label] = {alert["labels"][label] for alert in alerts}
    return {"ALERTS": labels} | {record["record"]: _labels_of(record, records) for record in records}


def _labels_of(record: Rule, records: list[Rule]) -> dict[str, set[str]]:
    """The labels that a recording rule groups by, or that the rules it uses group by."""
    labels = grouped_by(record["expr"])
    used = {selector.metric for selector in selectors(record["expr"])}
    for other in records:
        if not labels and other["record"] in used:
            return _labels_of(other, records)
    return {label: set() for label in labels}


async def exposed_by(program: str | None, *arguments: str) -> Exposed:
    """The metrics that a program exports at /metrics soon after its start."""
    async with (
        running(program, *arguments) as url,
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
async def running(program: str | None, *arguments: str) -> AsyncIterator[str]:
    """Run a program that serves HTTP, and yield its URL."""
    assert program is not None
    address = f"127.0.0.1:{free_port()}"
    async with daemon(f"http://{address}/metrics", program, *arguments, f"--web.listen-address={address}"):
        yield f"http://{address}"
