"""Labels and annotations that an alert lacks: they are empty in templates, and undefined for `default`."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import jinja2

ALERT_LABELS: Final = ("labels", "annotations")
GROUP_LABELS: Final = ("group_labels", "common_labels", "common_annotations")


class Absent(str):
    """The empty text of an absent label."""

    __slots__ = ()


class Labels(dict[str, str]):
    """Labels or annotations; a missing one is empty, as in Alertmanager's templates."""

    def __missing__(self, name: str) -> str:
        return Absent()


def with_empty_labels(data: Mapping[str, Any], convert: Callable[[str], str] = str) -> dict[str, Any]:
    """The data of a message, with labels and annotations that are empty if they are absent.

    `convert` is applied to the values of those that are present.
    """

    def labels_of(group: Mapping[str, Any], names: Iterable[str]) -> dict[str, Labels]:
        return {name: Labels({key: convert(text) for key, text in group[name].items()}) for name in names}

    alerts = [alert | labels_of(alert, ALERT_LABELS) for alert in data["alerts"]]
    return {**data, **labels_of(data, GROUP_LABELS), "alerts": alerts}


def default(value: Any, default_value: Any = "", boolean: bool = False) -> Any:
    """Jinja's filter `default`, which also replaces an absent label or annotation."""
    return default_value if not is_defined(value) or (boolean and not value) else value


def is_defined(value: Any) -> bool:
    """Jinja's test `defined`, which is also false for an absent label or annotation."""
    return not isinstance(value, Absent | jinja2.Undefined)


def is_undefined(value: Any) -> bool:
    """Jinja's test `undefined`."""
    return not is_defined(value)
