"""The Grafana dashboards: queries, layout, variables and provisioning."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.files import DASHBOARDS, DEPLOY, panels, program

PROMTOOL, with_promtool = program("promtool", "prometheus")
PROVISIONING = DEPLOY / "grafana/provisioning"
INTERVAL = "$__rate_interval"

each_dashboard = pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda dashboard: dashboard.stem)


@with_promtool
@each_dashboard
def test_every_expression_parses(dashboard: Path, tmp_path: Path) -> None:
    records = [
        {"record": f"panel_{panel['id']}:{target['refId']}", "expr": target["expr"].replace(INTERVAL, "5m")}
        for panel in panels(dashboard)
        for target in panel["targets"]
    ]
    file = tmp_path / "rules.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": dashboard.stem, "rules": records}]}))

    ran = subprocess.run([str(PROMTOOL), "check", "rules", file], capture_output=True, text=True)

    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert f"{len(records)} rules found" in ran.stdout


@each_dashboard
def test_panels_have_unique_ids_and_do_not_overlap(dashboard: Path) -> None:
    content = load(dashboard)
    cells = [
        (x, y)
        for panel in content["panels"]
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]

    assert len({panel["id"] for panel in content["panels"]}) == len(content["panels"])
    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) < 24


@each_dashboard
def test_every_panel_uses_the_selected_data_source(dashboard: Path) -> None:
    variables = {variable["name"]: variable["type"] for variable in load(dashboard)["templating"]["list"]}

    assert variables["datasource"] == "datasource"
    assert {panel["datasource"]["uid"] for panel in panels(dashboard)} == {"${datasource}"}


@each_dashboard
def test_every_variable_is_defined_and_used(dashboard: Path) -> None:
    variables = {variable["name"] for variable in load(dashboard)["templating"]["list"]} - {"datasource"}
    queries = " ".join(target["expr"] for panel in panels(dashboard) for target in panel["targets"])

    for name in variables:
        assert f"${name}" in queries
    for name in variables | {INTERVAL.removeprefix("$")}:
        queries = queries.replace(f"${name}", "")
    assert "$" not in queries


def test_provisioning_refers_to_the_mounted_directories() -> None:
    source = yaml.safe_load((PROVISIONING / "datasources/prometheus.yml").read_text())["datasources"][0]
    provider = yaml.safe_load((PROVISIONING / "dashboards/alert-relay.yml").read_text())["providers"][0]

    assert (source["type"], source["isDefault"]) == ("prometheus", True)
    assert (provider["type"], provider["options"]["path"]) == ("file", "/var/lib/grafana/dashboards")


def load(dashboard: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(dashboard.read_text())
    return content
