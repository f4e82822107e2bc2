"""Every row of docs/responses.md, answered to the channel of each platform over a real connection."""

from pathlib import Path

import pytest

from relay.domain.outcomes import Reason, Retry, Sent
from relay.notify.registry import NOTIFIERS
from tests.fixtures.processes import ROOT
from tests.fixtures.sink import Sink
from tests.notify.factories import notification
from tests.notify.responses import DEAD, DELIVERED, PAGE, RESPONSES, RETRIED, UNCONFIRMED, Row, result_of
from tests.notify.sending import local_sender
from tests.notify.strict.setups import SETUPS

OVER_HTTP = sorted(SETUPS.keys() - {"email", "apprise"})


@pytest.mark.parametrize("name", OVER_HTTP)
async def test_only_the_success_of_the_platform_is_delivered(name: str, sink: Sink, tmp_path: Path) -> None:
    channel_type, make = SETUPS[name]
    found: dict[str, str] = {}
    async with make(sink, tmp_path) as setup, local_sender() as sender:
        accepting = sink.script
        for row in RESPONSES[name]:
            sink.script = lambda _, row=row: row.response()
            outcome = await sender.attempt(NOTIFIERS[channel_type], setup.channel, notification())
            if result_of(outcome) is not row.result:
                found[str(row)] = f"{outcome}"
        sink.script = accepting
        success = await sender.attempt(NOTIFIERS[channel_type], setup.channel, notification())

    assert found == {}
    assert isinstance(success, Sent)


@pytest.mark.parametrize("name", [name for name in OVER_HTTP if name != "webhook"])
async def test_a_foreign_response_is_recorded_with_its_first_words(name: str, sink: Sink, tmp_path: Path) -> None:
    channel_type, make = SETUPS[name]
    async with make(sink, tmp_path) as setup, local_sender() as sender:
        sink.script = lambda _: Row(RETRIED, 200, PAGE).response()
        page = await sender.attempt(NOTIFIERS[channel_type], setup.channel, notification())
        sink.script = lambda _: Row(UNCONFIRMED, 206).response()
        empty = await sender.attempt(NOTIFIERS[channel_type], setup.channel, notification())

    assert isinstance(page, Retry)
    assert page.reason is Reason.UNEXPECTED_RESPONSE
    assert page.detail.startswith("200 unexpected response: <!DOCTYPE html> <html><head><title>Sign in")
    assert isinstance(empty, Retry)
    assert (empty.reason, empty.detail) == (Reason.UNEXPECTED_RESPONSE, "206 unexpected response: an empty body")


ALERTMANAGER_SLACK = (
    Row(RETRIED, 401),
    Row(RETRIED, 500),
    Row(RETRIED, 307),
    Row(UNCONFIRMED, 200, '{"not valid json"}'),
    Row(DEAD, 200, {"ok": False, "error": "error_message"}),
    Row(RETRIED, 200, "no_channel"),
    Row(DELIVERED, 200, {"ok": True}),
    Row(DELIVERED, 200, {"success": True}),
    Row(DELIVERED, 200, "ok"),
)
"""The cases of Alertmanager's notify/slack/slack_test.go.

It gives up after 401, 307 and `no_channel`, of which the relay retries each: they concern the destination.
"""
GRAFANA_SLACK = (
    Row(DEAD, 400, {"ok": False, "error": "too_many_attachments"}),
    Row(RETRIED, 301),
    Row(DELIVERED, 200, {"ok": True, "channel": "C1H9RESGL", "ts": "1503435956.000247", "message": {"text": "x"}}),
    Row(UNCONFIRMED, 200, "", {"Content-Type": "application/json"}),
    Row(UNCONFIRMED, 200, "", {"Content-Type": "text/html"}),
    Row(UNCONFIRMED, 200, {"test": True}),
    Row(DELIVERED, 200, {"ok": True}),
    Row(DEAD, 200, {"ok": False, "error": "test error"}),
    Row(DELIVERED, 200, "ok", {"Content-Type": "text/html"}),
    Row(DELIVERED, 200, "ok", {"Content-Type": "text/plain"}),
)
"""The cases of Grafana's receivers/slack/v1/slack_test.go, where all but the delivered ones are errors."""
ALERTMANAGER_TELEGRAM = (Row(DELIVERED, 200, {"ok": True, "result": {"chat": {}}}),)
"""The case of Alertmanager's notify/telegram/telegram_test.go. It retries every error; Grafana retries none."""


@pytest.mark.parametrize(
    ("name", "rows"),
    [("slack", ALERTMANAGER_SLACK), ("slack", GRAFANA_SLACK), ("telegram", ALERTMANAGER_TELEGRAM)],
    ids=["alertmanager-slack", "grafana-slack", "alertmanager-telegram"],
)
async def test_the_cases_of_other_systems_agree(
    name: str, rows: tuple[Row, ...], sink: Sink, tmp_path: Path
) -> None:
    channel_type, make = SETUPS[name]
    async with make(sink, tmp_path) as setup, local_sender() as sender:
        for row in rows:
            sink.script = lambda _, row=row: row.response()
            outcome = await sender.attempt(NOTIFIERS[channel_type], setup.channel, notification())
            assert result_of(outcome) is row.result, (row, outcome)


def test_every_platform_has_a_table() -> None:
    text = (ROOT / "docs/responses.md").read_text()
    for heading in ("Slack", "Discord", "Microsoft Teams", "Telegram", "PagerDuty", "SMS", "Email", "Webhook"):
        table = text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
        for result in ("success", "retried", "disables", "dead"):
            assert f"\n| {result} |" in table, (heading, result)
