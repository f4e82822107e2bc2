"""Do rules, dashboards and runbooks ask only for metrics that somebody really shows?"""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploy import exposed
from tests.deploy.exposed import Exposed, exposed_by, with_alertmanager, with_node_exporter, with_prometheus
from tests.deploy.files import CASES, DASHBOARDS, RUNBOOKS, panels, rules
from tests.deploy.promql import Selector, grouped_by, selectors

Asked = list[tuple[str, str]]
"""Where each expression stands, and the expression."""


def in_rules() -> Asked:
    return [
        (rule.get("alert") or rule["record"], rule["expr"]) for kind in ("alert", "record") for rule in rules(kind)
    ]


def in_dashboards() -> Asked:
    return [
        (f"{dashboard.stem}: {panel['title']}", target["expr"])
        for dashboard in DASHBOARDS
        for panel in panels(dashboard)
        for target in panel["targets"]
    ]


def in_dashboards_besides() -> Asked:
    """The expressions of annotations, and the queries that fill variables."""
    found = []
    for dashboard in DASHBOARDS:
        content = json.loads(dashboard.read_text())
        found += [(dashboard.stem, annotation["expr"]) for annotation in content["annotations"]["list"]]
        for variable in content["templating"]["list"]:
            if variable["type"] == "query":
                metric, label = re.findall(r"^label_values\((\w+), (\w+)\)$", variable["query"]["query"])[0]
                found.append((dashboard.stem, f"sum by ({label}) ({metric})"))
    return found


ALL = [*in_rules(), *in_dashboards(), *in_dashboards_besides()]


@with_prometheus
@with_alertmanager
@with_node_exporter
async def test_every_expression_asks_only_for_what_is_shown(tmp_path: Path) -> None:
    shown = await ours() | await of_the_stock_exporters(tmp_path)

    for where, expression in ALL:
        asked = list(selectors(expression))
        assert {selector.metric for selector in asked} <= shown.keys(), where
        known = {label for selector in asked for label in shown[selector.metric]} | set(exposed.OF_THE_TARGET)
        assert grouped_by(expression) <= known, where
        for selector in asked:
            assert {label for label, _ in selector.matchers} <= known, where


def test_every_expression_asks_the_relay_and_the_rules_only_for_values_that_there_are() -> None:
    shown = exposed.exposed_by_the_relay() | exposed.exposed_by_rules()

    for where, expression in ALL:
        for selector in selectors(expression):
            for label, value in literal(selector):
                if selector.metric in shown and shown[selector.metric].get(label):
                    assert value in shown[selector.metric][label], where


def literal(selector: Selector) -> Iterator[tuple[str, str]]:
    """Those matchers whose value is one, and neither a pattern nor a variable."""
    return ((label, value) for label, value in selector.matchers if re.fullmatch(r"\w*", value))


@pytest.mark.parametrize("cases", CASES, ids=lambda cases: cases.stem)
async def test_cases_are_about_series_that_there_are(cases: Path) -> None:
    """A misspelt label in a case would let a rule pass that never fires."""
    shown = await ours()

    for text in re.findall(r"^ +- series: (.*)$", cases.read_text(), re.MULTILINE):
        for selector in selectors(text):
            if selector.metric != "up":
                assert selector.metric in shown, text
                known = shown[selector.metric].keys() | set(exposed.OF_THE_TARGET)
                assert {label for label, _ in selector.matchers} <= known, text


async def test_runbooks_ask_only_for_metrics_that_there_are() -> None:
    known = {re.sub("_(total|bucket|sum|count)$", "", name) for name in await ours()}

    for asked in re.findall(r"\b(?:relay|dotmac)_\w+", RUNBOOKS.read_text()):
        assert re.sub("_(total|bucket|sum|count)$", "", asked) in known


async def ours() -> Exposed:
    return exposed.exposed_by_the_relay() | await exposed.exposed_by_the_middleware() | exposed.exposed_by_rules()


async def of_the_stock_exporters(folder: Path) -> Exposed:
    """Of fresh ones; `up` is what Prometheus makes of each scrape."""
    (folder / "alertmanager.yml").write_text("{route: {receiver: nobody}, receivers: [{name: nobody}]}")
    (folder / "prometheus.yml").write_text("global: {}")
    return {
        "up": {},
        **await exposed_by(exposed.NODE_EXPORTER),
        **await exposed_by(
            *(exposed.ALERTMANAGER, f"--config.file={folder}/alertmanager.yml", f"--storage.path={folder}/alerts"),
            "--cluster.listen-address=",
        ),
        **await exposed_by(
            *(exposed.PROMETHEUS, f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/series")
        ),
    }
