"""Tests of the metrics: webhooks by result, requests by route, and series that exist from the start."""

import asyncio
import logging
import sys
from collections.abc import AsyncIterator
from io import BytesIO

from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from relay.domain.channel_types import channel_types
from relay.domain.request_bodies import MAX_BODY
from relay.telemetry import LibraryFormatter, Metrics
from tests.fixtures.postgres import execute, sibling, temporary_database
from tests.fixtures.relays import Relay, RelayFactory, running, webhook

CHUNK = 256 * 1024


async def results(relay: Relay) -> dict[str, float]:
    """The number of webhooks by result, without zeros."""
    page = (await relay.call("GET", "metrics", key=None)).body.decode()
    return {
        sample.labels["result"]: sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
        if sample.name == "relay_webhooks_total" and sample.value
    }


async def test_webhooks_are_counted_by_result(start_relay: RelayFactory) -> None:
    relay = await start_relay(webhook_token="the-token")
    valid = {"key": "the-token"}
    for body in (webhook(), webhook()):
        await relay.call("POST", "/webhook", json=body, **valid)
    await relay.call("POST", "/webhook", data=b"{}", **valid)
    await relay.call("POST", "/webhook", data=b"[" * 100_000, **valid)
    too_large = await relay.call("POST", "/webhook", data=BytesIO(b"x" * (MAX_BODY + 1)), **valid)
    await relay.call("POST", "/webhook", json=webhook(), key="another")
    await relay.call("POST", "/webhook", json=webhook(), key=None)

    assert too_large.status == 413
    assert await results(relay) == {
        "accepted": 1,
        "duplicate": 1,
        "invalid": 2,
        "too_large": 1,
        "unauthorized": 2,
    }


async def test_a_chunked_body_that_is_too_large_is_counted(relay: Relay) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(MAX_BODY // CHUNK + 1):
            yield b"x" * CHUNK

    response = await relay.call("POST", "/webhook", data=chunks())

    assert (response.status, await results(relay)) == (413, {"too_large": 1})


async def test_a_request_aborted_by_the_client_is_counted_as_broken_off(relay: Relay) -> None:
    host, port = relay.url.removeprefix("http://").split(":")
    _, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"POST /api/v1/monitoring/alerts/webhook HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
    await writer.drain()
    writer.close()
    await writer.wait_closed()

    async with asyncio.timeout(20):
        while not (counts := await results(relay)):
            await asyncio.sleep(0.05)
    assert counts == {"broken_off": 1}


async def test_webhooks_rejected_without_a_database_are_counted(postgres_url: str, migrated_template: str) -> None:
    async with temporary_database(postgres_url, "dropped_for_counting", template=migrated_template):
        async with running(sibling(postgres_url, "dropped_for_counting")) as relay:
            await execute(postgres_url, "DROP DATABASE dropped_for_counting WITH (FORCE)")

            for _ in range(3):
                assert (await relay.webhook_once(webhook())).status == 503

            assert await results(relay) == {"unavailable": 3}
        await execute(postgres_url, "CREATE DATABASE dropped_for_counting")


async def test_every_response_is_counted_by_its_route_or_as_unmatched(relay: Relay) -> None:
    await relay.webhook(webhook())
    await relay.call("GET", "/channels/nobody")
    await relay.call("GET", "no-such-page", key=None)
    await relay.call("GET", "no-such-page", key=None)

    page = (await relay.call("GET", "metrics", key=None)).body.decode()
    requests = {
        (sample.labels["endpoint"], sample.labels["status_code"]): sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
        if sample.name == "relay_http_requests_total"
    }
    assert requests == {
        ("/api/v1/monitoring/alerts/webhook", "202"): 1,
        ("/api/v1/monitoring/alerts/channels/{channel_id}", "404"): 1,
        ("unmatched", "404"): 2,
    }
    assert "relay_minio" not in page


async def test_an_internal_error_is_counted_as_an_exception(postgres_url: str, migrated_template: str) -> None:
    async with temporary_database(postgres_url, "dropped_for_exceptions", template=migrated_template):
        async with running(sibling(postgres_url, "dropped_for_exceptions")) as relay:
            await execute(postgres_url, "DROP DATABASE dropped_for_exceptions WITH (FORCE)")

            assert (await relay.call("GET", "/channels")).status == 503

            page = (await relay.call("GET", "metrics", key=None)).body.decode()
            assert 'relay_exceptions_by_endpoint_total{endpoint="/api/v1/monitoring/alerts/channels"' in page
        await execute(postgres_url, "CREATE DATABASE dropped_for_exceptions")


def test_series_of_alert_rules_exist_from_the_start_and_stay_bounded() -> None:
    page = generate_latest(Metrics().registry).decode()
    samples = [sample for family in text_string_to_metric_families(page) for sample in family.samples]

    for name in (
        *("relay_deliveries_waiting", "relay_oldest_waiting_seconds", "relay_dead_letters", "relay_channels_gone"),
        *("relay_deliveries_dead_total", "relay_deliveries_merged_total", "relay_digests_total"),
        *("relay_fallbacks_total", "relay_breaker_opened_total", "relay_channels_disabled_total"),
        *("relay_rate_limited_total", "relay_channels"),
    ):
        of_name = [sample for sample in samples if sample.name == name]
        assert {sample.labels["channel_type"] for sample in of_name} == set(channel_types())
        assert {sample.value for sample in of_name} == {0.0}
    labels = {label for sample in samples for label in sample.labels}
    assert labels <= {"channel_type", "outcome", "reason", "state", "into", "result", "status", "le"}
    assert len(samples) < 100 * len(channel_types())


def test_two_applications_in_one_process_count_separately() -> None:
    one, other = Metrics(), Metrics()
    one.dead.labels("slack", "expired").inc()

    assert (
        other.registry.get_sample_value(
            "relay_deliveries_dead_total", {"channel_type": "slack", "reason": "expired"}
        )
        == 0
    )


def test_logs_of_libraries_contain_no_values() -> None:
    formatter = LibraryFormatter()
    secret = "https://hooks.example.com/T0/s3cret"
    try:
        raise ValueError(secret)
    except ValueError:
        raised = sys.exc_info()
    records = [
        logging.LogRecord("urllib3", logging.WARNING, "", 0, "Failed to parse headers (url=%s)", (secret,), None),
        logging.LogRecord("asyncio", logging.ERROR, "", 0, f"Task exception\nfuture: {secret}", None, raised),
        logging.LogRecord("other", logging.ERROR, "", 0, f"no access to {secret}", None, None),
    ]
    texts = [formatter.format(record) for record in records]
    assert texts[0] == "urllib3: Failed to parse headers (url=%s)"
    assert "Task exception" in texts[1]
    assert "ValueError" in texts[1]
    assert "s3cret" not in "".join(texts)
