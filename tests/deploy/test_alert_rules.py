"""The alert rules, their annotations and their promtool cases."""

import functools
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.deploy.files import CASES, PROMETHEUS, RUNBOOKS, Rule, program, rules

PROMTOOL, with_promtool = program("promtool", "prometheus")
ALERTS = [pytest.param(rule, id=rule["alert"]) for rule in rules("alert")]
RECORDS = [rule["record"] for rule in rules("record")]
ALWAYS = "vector(1)"
SLOW_CASES = {"error-parts-test", "error-rates-test", "error-trends-test"}
"""These take promtool several seconds each."""


@functools.cache
def checks_of(kind: str) -> list[Rule]:
    """All checks in the cases, of the kind `alert_rule_test` or `promql_expr_test`."""
    tests = [test for cases in CASES for test in yaml.safe_load(cases.read_text())["tests"]]
    return [check for test in tests for check in test.get(kind, [])]


@with_promtool
def test_promtool_accepts_the_configuration_and_its_rules() -> None:
    ran = promtool("check", "config", PROMETHEUS / "prometheus.yml")

    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert len(rules("alert")) + len(RECORDS) == sum(
        int(line.split()[1]) for line in ran.stdout.splitlines() if line.endswith("rules found")
    )


@with_promtool
@pytest.mark.parametrize(
    "cases",
    [
        pytest.param(file, id=file.stem, marks=pytest.mark.slow if file.stem in SLOW_CASES else ())
        for file in CASES
    ],
)
def test_the_promtool_cases_pass(cases: Path) -> None:
    ran = promtool("test", "rules", cases)

    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.parametrize("rule", ALERTS)
def test_a_rule_has_severity_category_summary_description_and_runbook(rule: Rule) -> None:
    assert rule["labels"]["severity"] in ("critical", "warning", "info", "none")
    assert rule["labels"]["category"]
    assert rule["annotations"]["summary"]
    assert rule["annotations"]["description"]
    assert rule["annotations"]["runbook_url"].endswith(f"/deploy/runbooks.md#{rule['alert'].lower()}")
    assert f"\n## {rule['alert']}\n" in RUNBOOKS.read_text()


@pytest.mark.parametrize("rule", ALERTS)
def test_cases_cover_a_rule_firing_and_not_firing(rule: Rule) -> None:
    outcomes = {
        bool(check["exp_alerts"]) for check in checks_of("alert_rule_test") if check["alertname"] == rule["alert"]
    }

    assert outcomes == ({True} if rule["expr"] == ALWAYS else {True, False})


@pytest.mark.parametrize("record", RECORDS)
def test_cases_cover_each_recording_rule(record: str) -> None:
    assert any(
        record in check["expr"] and check["exp_samples"] is not None for check in checks_of("promql_expr_test")
    )


def promtool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(PROMTOOL), *map(str, arguments)], capture_output=True, text=True)
