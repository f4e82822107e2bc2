"""Bounds on what is stored and shown of an alert. The receipt keeps the whole body."""

import itertools
from typing import Final

import msgspec

from relay.domain.alerts import Alert, Group

MAX_LABEL: Final = 4_096
"""Characters of a label's value, and of a name; routing looks at as many."""
MAX_ANNOTATION: Final = 65_536
"""Characters of an annotation, and of a generatorURL, which is omitted when it is longer."""
MAX_PAIRS: Final = 1_000
"""Labels, and annotations, of an alert."""
OMITTED: Final = "…"
"""The name under which the number of omitted labels or annotations is shown."""


def bounded(group: Group) -> Group:
    """Cut what is longer than the bounds, with a mark that says by how much."""
    alerts = tuple([_bounded_alert(alert) for alert in group.alerts])
    labels, common = _pairs(group.group_labels, MAX_LABEL), _pairs(group.common_labels, MAX_LABEL)
    annotations = _pairs(group.common_annotations, MAX_ANNOTATION)
    return msgspec.structs.replace(
        group, alerts=alerts, group_labels=labels, common_labels=common, common_annotations=annotations
    )


def _bounded_alert(alert: Alert) -> Alert:
    labels, annotations = _pairs(alert.labels, MAX_LABEL), _pairs(alert.annotations, MAX_ANNOTATION)
    url = alert.generator_url if len(alert.generator_url) <= MAX_ANNOTATION else ""
    if labels is alert.labels and annotations is alert.annotations and url is alert.generator_url:
        return alert
    return msgspec.structs.replace(alert, labels=labels, annotations=annotations, generator_url=url)


def _pairs(pairs: dict[str, str], limit: int) -> dict[str, str]:
    """The pairs, the same object if all are within the bounds."""
    longest = max(
        map(len, pairs.values()), default=0
    )  # without a loop in Python, which most webhooks would pay for
    if len(pairs) <= MAX_PAIRS and longest <= limit and max(map(len, pairs), default=0) <= MAX_LABEL:
        return pairs
    kept = {_cut(name, MAX_LABEL): _cut(pairs[name], limit) for name in itertools.islice(pairs, MAX_PAIRS)}
    if (omitted := len(pairs) - MAX_PAIRS) > 0:
        kept[OMITTED] = f"{omitted} more"
    return kept


def _cut(text: str, limit: int) -> str:
    if len(text) <= limit:
        return text
    mark = f"… [{len(text)} characters]"
    return text[: limit - len(mark)] + mark
