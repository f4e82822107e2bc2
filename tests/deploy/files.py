"""The rules, dashboards and configurations in deploy/."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

DEPLOY = Path(__file__).parent.parent.parent / "deploy"
PROMETHEUS = DEPLOY / "prometheus"
CASES = sorted(PROMETHEUS.glob("tests/*.yml"))
RUNBOOKS = DEPLOY / "runbooks.md"
ALERTMANAGER_CONFIG = DEPLOY / "alertmanager/alertmanager.yml"
DASHBOARDS = sorted((DEPLOY / "grafana/dashboards").glob("*.json"))

Rule = dict[str, Any]


def program(name: str, package: str) -> tuple[str | None, pytest.MarkDecorator]:
    """Find a program, and make the mark that skips a test without it."""
    found = shutil.which(f"prometheus-{name}") or shutil.which(name)
    return found, pytest.mark.skipif(
        found is None, reason=f"{name} is not installed; on Debian: apt-get install {package}"
    )


def rules(kind: str) -> list[Rule]:
    """All rules that prometheus.yml loads, of the kind `alert` or `record`."""
    config = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())
    files = [file for pattern in config["rule_files"] for file in sorted(PROMETHEUS.glob(pattern))]
    groups = [group for file in files for group in yaml.safe_load(file.read_text())["groups"]]
    return [rule for group in groups for rule in group["rules"] if kind in rule]


def panels(dashboard: Path) -> list[dict[str, Any]]:
    """The panels of a dashboard that have queries."""
    found: list[dict[str, Any]] = json.loads(dashboard.read_text())["panels"]
    return [panel for panel in found if panel["type"] != "row"]
