"""Do the alert rules fire when they should, and on metrics that the relay really has?"""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from relay.telemetry import Metrics

DEPLOY = Path(__file__).parent.parent.parent / "deploy"
RULES = DEPLOY / "prometheus/alerts/relay-alerts.yml"
CASES = DEPLOY / "prometheus/tests/relay-alerts-test.yml"
RUNBOOKS = DEPLOY / "runbooks.md"
PROMTOOL = shutil.which("promtool")

with_promtool = pytest.mark.skipif(
    PROMTOOL is None, reason="no promtool here; Debian has it: apt-get install prometheus"
)


def names() -> list[str]:
    found = re.findall(r"^ +- alert: (\w+)$", RULES.read_text(), re.MULTILINE)
    assert found
    return found


def exported() -> set[tuple[str, str, str]]:
    """What a fresh process shows: metric, label and value; without labels both are empty."""
    page = generate_latest(Metrics().registry).decode()
    samples = [sample for family in text_string_to_metric_families(page) for sample in family.samples]
    return {
        (sample.name, label, value) for sample in samples for label, value in [("", ""), *sample.labels.items()]
    }


@with_promtool
@pytest.mark.parametrize("words", [("check", "rules", RULES), ("test", "rules", CASES)], ids=["check", "test"])
def test_promtool_finds_the_rules_right(words: tuple[str, str, Path]) -> None:
    ran = subprocess.run([str(PROMTOOL), *map(str, words)], capture_output=True, text=True)

    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.parametrize("name", names())
def test_a_rule_says_how_bad_it_is_what_it_means_and_what_to_do(name: str) -> None:
    rule = re.split(r"\n +- alert: ", RULES.read_text().split(f"- alert: {name}\n")[1])[0]

    for field in ("severity", "category", "summary", "description"):
        assert re.search(rf"^ +{field}: \S", rule, re.MULTILINE), field
    assert f"/deploy/runbooks.md#{name.lower()}\n" in rule + "\n"
    assert f"\n## {name}\n" in RUNBOOKS.read_text()


@pytest.mark.parametrize("name", names())
def test_a_rule_is_seen_to_fire_and_to_stay_silent(name: str) -> None:
    cases = CASES.read_text()

    assert f"- alertname: {name}\n" in cases, "it fires nowhere"
    assert re.search(rf"{{ alertname: {name}, eval_time: \w+, exp_alerts: \[\] }}", cases), "it is silent nowhere"


def test_rules_and_their_cases_ask_only_for_metrics_that_a_fresh_process_shows() -> None:
    shown = {metric for metric, _, _ in exported()}
    asked = set(re.findall(r"\brelay_\w+", RULES.read_text() + CASES.read_text()))

    assert len(asked) > 5
    assert asked <= shown


def test_rules_ask_only_for_labels_that_a_fresh_process_shows() -> None:
    asked = {
        (metric, label, value)
        for metric, label, values in re.findall(r'\b(relay_\w+)\{(\w+)=~?"([^"]+)"\}', RULES.read_text())
        for value in values.split("|")
    }

    assert asked
    assert asked <= exported()


def test_runbooks_ask_only_for_metrics_that_there_are() -> None:
    families = text_string_to_metric_families(generate_latest(Metrics().registry).decode())
    known = {family.name for family in families}

    for asked in re.findall(r"\brelay_\w+", RUNBOOKS.read_text()):
        assert asked.removesuffix("_total") in known
