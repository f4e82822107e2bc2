"""What Grafana's own alerting adds to an alert of the webhook.

https://grafana.com/docs/grafana/latest/alerting/configure-notifications/manage-contact-points/integrations/webhook-notifier/
"""

import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

import msgspec

MAX_URL: Final = 2048
MAX_VALUES: Final = 20
MAX_NAME: Final = 60
MAX_VALUE: Final = 60
MAX_VALUE_STRING: Final = 8192
"""Characters of `valueString` that are read."""
LARGE: Final = 10**15
SMALL: Final = 10**-3
"""Magnitudes from and below which a number is written with an exponent."""

_value: Final = re.compile(r"\[ var='(?P<name>[^']*)'.*? value=(?P<value>\S+) \]", re.DOTALL)
"""One item of `valueString`: `[ var='B' labels={job=node} value=17 ]`. Versions before 10 have no `values`."""


class GrafanaFields(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Links to the dashboard, its panel, and a form that silences the alert; and the values of the rule's queries.

    A URL is empty, and a value is left out, if Grafana sends none.
    """

    dashboard_url: str = ""
    panel_url: str = ""
    silence_url: str = ""
    values: dict[str, str] = {}


def grafana_fields(
    dashboard_url: Any, panel_url: Any, silence_url: Any, values: Any, value_string: Any
) -> GrafanaFields | None:
    """The fields as sent, of any JSON type or `UNSET`; None if all are unset: the sender is not Grafana."""
    if all(given is msgspec.UNSET for given in (dashboard_url, panel_url, silence_url, values, value_string)):
        return None
    pairs: Iterable[tuple[str, Any]] = ()
    if isinstance(values, dict):
        pairs = values.items()
    elif isinstance(value_string, str):
        pairs = ((found["name"], found["value"]) for found in _value.finditer(value_string[:MAX_VALUE_STRING]))
    return GrafanaFields(
        dashboard_url=_url(dashboard_url),
        panel_url=_url(panel_url),
        silence_url=_url(silence_url),
        values=dict(_texts(pairs)),
    )


def _url(value: Any) -> str:
    return value if isinstance(value, str) and len(value) <= MAX_URL else ""


def _texts(pairs: Iterable[tuple[str, Any]]) -> Iterator[tuple[str, str]]:
    for _, (name, value) in zip(range(MAX_VALUES), pairs, strict=False):
        if value is not None and not isinstance(value, dict | list):
            yield name[:MAX_NAME], _text(value)[:MAX_VALUE]


def _text(value: Any) -> str:
    """A number with at most four decimals, unless that would lose it."""
    if not isinstance(value, float):
        return msgspec.json.encode(value).decode() if not isinstance(value, str) else value
    if not SMALL <= abs(value) < LARGE:
        return f"{value:.4g}"
    return f"{value:.4f}".rstrip("0").rstrip(".")
