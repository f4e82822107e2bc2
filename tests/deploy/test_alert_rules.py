"""Do the alert rules fire when they should, and say what to do?"""

import subprocess
from pathlib import Path

import pytest
import yaml

from tests.deploy.files import CASES, PROMETHEUS, RUNBOOKS, Rule, program, rules

PROMTOOL, with_promtool = program("promtool", "prometheus")
ALERTS = [pytest.param(rule, id=rule["alert"]) for rule in rules("alert")]
RECORDS = [rule["record"] for rule in rules("record")]
ALWAYS = "vector(1)"


def checks_of(kind: str) -> list[Rule]:
    """What all cases check, of the kind `alert_rule_test` or `promql_expr_test`."""
    tests = [test for cases in CASES for test in yaml.safe_load(cases.read_text())["tests"]]
    return [check for test in tests for check in test.get(kind, [])]


@with_promtool
def test_promtool_finds_the_configuration_and_the_rules_that_it_loads_right() -> None:
    ran = promtool("check", "config", PROMETHEUS / "prometheus.yml")

    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert len(rules("alert")) + len(RECORDS) == sum(
        int(line.split()[1]) for line in ran.stdout.splitlines() if line.endswith("rules found")
    )


@with_promtool
@pytest.mark.parametrize("cases", CASES, ids=lambda cases: cases.stem)
def test_the_cases_come_out_as_they_say(cases: Path) -> None:
    ran = promtool("test", "rules", cases)

    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.parametrize("rule", ALERTS)
def test_a_rule_says_how_bad_it_is_what_it_means_and_what_to_do(rule: Rule) -> None:
    assert rule["labels"]["severity"] in ("critical", "warning", "info", "none")
    assert rule["labels"]["category"]
    assert rule["annotations"]["summary"]
    assert rule["annotations"]["description"]
    assert rule["annotations"]["runbook_url"].endswith(f"/deploy/runbooks.md#{rule['alert'].lower()}")
    assert f"\n## {rule['alert']}\n" in RUNBOOKS.read_text()


@pytest.mark.parametrize("rule", ALERTS)
def test_a_rule_is_seen_to_fire_and_to_stay_silent(rule: Rule) -> None:
    seen = {
        bool(check["exp_alerts"]) for check in checks_of("alert_rule_test") if check["alertname"] == rule["alert"]
    }

    assert seen == ({True} if rule["expr"] == ALWAYS else {True, False})


@pytest.mark.parametrize("record", RECORDS)
def test_what_is_recorded_is_seen_to_be_right(record: str) -> None:
    assert any(
        record in check["expr"] and check["exp_samples"] is not None for check in checks_of("promql_expr_test")
    )


def promtool(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(PROMTOOL), *map(str, words)], capture_output=True, text=True)
