"""Rules, dashboards and runbooks use only metrics that exist."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploy import exposed
from tests.deploy.exposed import Exposed, exposed_by, with_alertmanager, with_node_exporter, with_prometheus
from tests.deploy.files import CASES, DASHBOARDS, RUNBOOKS, panels, rules
from tests.deploy.promql import Selector, grouped_by, selectors

Queries = list[tuple[str, str]]
"""Where each expression is used, and the expression."""


def in_rules() -> Queries:
    return [
        (rule.get("alert") or rule["record"], rule["expr"]) for kind in ("alert", "record") for rule in rules(kind)
    ]


def in_panels() -> Queries:
    return [
        (f"{dashboard.stem}: {panel['title']}", target["expr"])
        for dashboard in DASHBOARDS
        for panel in panels(dashboard)
        for target in panel["targets"]
    ]


def in_annotations_and_variables() -> Queries:
    found = []
    for dashboard in DASHBOARDS:
        content = json.loads(dashboard.read_text())
        found += [(dashboard.stem, annotation["expr"]) for annotation in content["annotations"]["list"]]
        for variable in content["templating"]["list"]:
            if variable["type"] == "query":
                metric, label = re.findall(r"^label_values\((\w+), (\w+)\)$", variable["query"]["query"])[0]
                found.append((dashboard.stem, f"sum by ({label}) ({metric})"))
    return found


ALL = [*in_rules(), *in_panels(), *in_annotations_and_variables()]


@pytest.fixture(scope="module")
async def own() -> Exposed:
    """The metrics of the relay, the middleware and the rules."""
    return exposed.exposed_by_the_relay() | await exposed.exposed_by_the_middleware() | exposed.exposed_by_rules()


def test_every_expression_uses_only_exported_metrics_of_the_relay_and_the_middleware(own: Exposed) -> None:
    for where, expression in ALL:
        for selector in selectors(expression):
            if re.match("relay_|dotmac_|.*:", selector.metric):
                assert selector.metric in own, where
                known = own[selector.metric].keys() | set(exposed.TARGET_LABELS)
                assert {label for label, _ in selector.matchers} <= known, where


@pytest.mark.slow
@with_prometheus
@with_alertmanager
@with_node_exporter
async def test_every_expression_uses_only_exported_metrics_and_labels(own: Exposed, tmp_path: Path) -> None:
    exported = own | await exposed_by_stock_exporters(tmp_path)

    for where, expression in ALL:
        used = list(selectors(expression))
        assert {selector.metric for selector in used} <= exported.keys(), where
        known = {label for selector in used for label in exported[selector.metric]} | set(exposed.TARGET_LABELS)
        assert grouped_by(expression) <= known, where
        for selector in used:
            assert {label for label, _ in selector.matchers} <= known, where


def test_every_expression_uses_only_existing_label_values() -> None:
    exported = exposed.exposed_by_the_relay() | exposed.exposed_by_rules()

    for where, expression in ALL:
        for selector in selectors(expression):
            for label, value in literal_matchers(selector):
                if selector.metric in exported and exported[selector.metric].get(label):
                    assert value in exported[selector.metric][label], where


def literal_matchers(selector: Selector) -> Iterator[tuple[str, str]]:
    """The matchers whose value is neither a pattern nor a variable."""
    return ((label, value) for label, value in selector.matchers if re.fullmatch(r"\w*", value))


@pytest.mark.parametrize("cases", CASES, ids=lambda cases: cases.stem)
def test_promtool_cases_use_only_existing_series(own: Exposed, cases: Path) -> None:
    """A case with a misspelled label would pass for a rule that never fires."""
    for text in re.findall(r"^ +- series: (.*)$", cases.read_text(), re.MULTILINE):
        for selector in selectors(text):
            if selector.metric != "up":
                assert selector.metric in own, text
                known = own[selector.metric].keys() | set(exposed.TARGET_LABELS)
                assert {label for label, _ in selector.matchers} <= known, text


def test_runbooks_use_only_existing_metrics(own: Exposed) -> None:
    known = {re.sub("_(total|bucket|sum|count)$", "", name) for name in own}

    for used in re.findall(r"\b(?:relay|dotmac)_\w+", RUNBOOKS.read_text()):
        assert re.sub("_(total|bucket|sum|count)$", "", used) in known


async def exposed_by_stock_exporters(folder: Path) -> Exposed:
    """The metrics of freshly started exporters, and `up`, which Prometheus adds at each scrape."""
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
