"""The reader of PromQL that other tests use."""

import pytest

from tests.deploy.promql import grouped_by, selectors


@pytest.mark.parametrize(
    ("expression", "metrics"),
    [
        ("vector(1)", set()),
        ("sum(rate(a_total[5m])) > 10", {"a_total"}),
        ('sum by (x, y) (a{x="b"}) / on (x) group_left (y) c', {"a", "c"}),
        ("sum(a) by (x)", {"a"}),
        ("absent(a or b) unless c and d offset 1h", {"a", "b", "c", "d"}),
        ('a{x="up or }down"} == bool 0.5e3', {"a"}),
        ("level:a:rate5m # of b\n + c", {"level:a:rate5m", "c"}),
        ("max_over_time((a > 0)[30m:1m]) * Inf", {"a"}),
        ("topk(10, count without (x) (a))", {"a"}),
    ],
)
def test_metrics_are_distinguished_from_functions_operators_labels_and_strings(
    expression: str, metrics: set[str]
) -> None:
    assert {selector.metric for selector in selectors(expression)} == metrics


def test_matchers_are_returned_with_their_metric_and_groupings_separately() -> None:
    expression = 'sum by (x, y) (rate(a{x=~"b|c", y!="d"}[5m])) and on (z) e'

    assert list(selectors(expression)) == [("a", [("x", "b"), ("x", "c"), ("y", "d")]), ("e", [])]
    assert grouped_by(expression) == {"x", "y", "z"}
