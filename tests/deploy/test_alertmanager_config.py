"""Routing and inhibition in the Alertmanager configuration."""

import asyncio
import re
import subprocess

import aiohttp
import pytest
import yaml

from tests.deploy.exposed import ALERTMANAGER, running, with_alertmanager
from tests.deploy.files import ALERTMANAGER_CONFIG, program, rules

AMTOOL, with_amtool = program("amtool", "prometheus-alertmanager")
TIMEOUT = 30.0


@with_amtool
def test_amtool_accepts_the_configuration() -> None:
    ran = amtool("check-config", str(ALERTMANAGER_CONFIG))

    assert ran.returncode == 0, ran.stdout + ran.stderr


@with_amtool
@pytest.mark.parametrize(
    ("alert", "receivers"),
    [
        ("HighErrorRate", "alert-relay"),
        ("Relay", "alert-relay"),
        ("Watchdog", "watchdog"),
        ("RelayDown", "on-call-directly,alert-relay"),
    ],
)
def test_alerts_about_the_relay_also_go_to_another_receiver(alert: str, receivers: str) -> None:
    ran = amtool("config", "routes", "test", f"--config.file={ALERTMANAGER_CONFIG}", f"alertname={alert}")

    assert ran.stdout.strip() == receivers


def test_the_configuration_names_only_existing_alerts() -> None:
    names = {rule["alert"] for rule in rules("alert")}
    config = yaml.safe_load(ALERTMANAGER_CONFIG.read_text())
    matchers = [matcher for route in config["route"]["routes"] for matcher in route["matchers"]]
    for rule in config["inhibit_rules"]:
        matchers += rule["source_matchers"] + rule["target_matchers"]

    named = [found[1] for matcher in matchers if (found := re.fullmatch('alertname=~?"(.+)"', matcher))]

    assert named
    for pattern in "|".join(named).split("|"):
        assert any(re.fullmatch(pattern, name) for name in names), pattern


@pytest.mark.slow
@with_alertmanager
async def test_a_critical_alert_inhibits_only_warnings_about_the_same_problem() -> None:
    firing = {
        "CriticalErrorRate": {},
        "HighErrorRate": {},
        "ErrorRateAnomaly": {},
        "High5xxErrors": {},
        "TenantHighErrorRate": {"tenant_id": "tenant-a"},
        "DatabaseConnectionFailures": {},
        "HighDatabaseQueryTimeouts": {},
        "AuthenticationFailureSpike": {},
    }

    assert await inhibited(firing) == {"HighErrorRate", "ErrorRateAnomaly", "HighDatabaseQueryTimeouts"}


async def inhibited(firing: dict[str, dict[str, str]]) -> set[str]:
    """Send the alerts with the severity and category of their rules; return those that Alertmanager inhibits."""
    labels_of = {rule["alert"]: rule["labels"] for rule in rules("alert")}
    alerts = [
        {"labels": {"alertname": name, **labels_of[name], **labels}, "annotations": {}}
        for name, labels in firing.items()
    ]
    arguments = (f"--config.file={ALERTMANAGER_CONFIG}", "--storage.path=alerts", "--cluster.listen-address=")
    async with running(ALERTMANAGER, *arguments) as url, aiohttp.ClientSession(f"{url}/api/v2/") as session:
        async with session.post("alerts", json=alerts) as response:
            assert response.status == 200, await response.text()
        async with asyncio.timeout(TIMEOUT):
            while True:
                async with session.get("alerts") as response:
                    known = await response.json()
                if len(known) == len(alerts) and any(alert["status"]["inhibitedBy"] for alert in known):
                    return {alert["labels"]["alertname"] for alert in known if alert["status"]["inhibitedBy"]}
                await asyncio.sleep(0.1)


def amtool(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(AMTOOL), *arguments], capture_output=True, text=True)
