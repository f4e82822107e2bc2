"""Bodies whose JSON types deviate from those of Alertmanager's webhook: what they mean.

Labels, annotations and identifiers are text. Other senders also write numbers, booleans, null and nested JSON
there. A number becomes the text that was sent, so that an identifier of 20 digits keeps all of them.
"""

import json
import math
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from relay.domain.fields import replace_unstorable

TEXTS: Final = ("groupKey", "receiver", "externalURL")
MAPS: Final = ("groupLabels", "commonLabels", "commonAnnotations")
ALERT_TEXTS: Final = ("generatorURL", "fingerprint")
ALERT_MAPS: Final = ("labels", "annotations")
MAX_DIGITS: Final = 18
"""Digits of a count that are read; more are clamped anyway."""


def parse_deviating(body: bytes) -> Any:
    """Parse JSON in which every number is a `msgspec.Raw` with the text that was sent.

    Invalid UTF-8, lone surrogates and U+0000 are replaced; NaN and the infinities are accepted, and are text.

    Raises:
        ValueError: the body is not JSON.
        RecursionError: it is nested too deeply.
    """

    def raw(number: str) -> msgspec.Raw:
        return msgspec.Raw(number.encode())

    text = body.decode("utf-8-sig", errors="replace")
    return replace_unstorable(json.loads(text, parse_int=raw, parse_float=raw, parse_constant=str))


def normalize(webhook: Any) -> Any:
    """Convert what deviates in a parsed webhook; what is not understood is kept, for an error that names it."""
    if not isinstance(webhook, dict):
        return _number(webhook)
    normal = _normal(webhook, TEXTS, MAPS)
    if isinstance(count := webhook.get("truncatedAlerts"), str) and count.isdecimal():
        normal["truncatedAlerts"] = int(count[:MAX_DIGITS])
    if isinstance(alerts := webhook.get("alerts"), list):
        normal["alerts"] = [
            _normal(alert, ALERT_TEXTS, ALERT_MAPS) if isinstance(alert, dict) else _number(alert)
            for alert in alerts
        ]
    return normal


def _normal(fields: Mapping[str, Any], texts: tuple[str, ...], maps: tuple[str, ...]) -> dict[str, Any]:
    converters: dict[str, Callable[[Any], Any]] = dict.fromkeys(texts, _text) | dict.fromkeys(maps, _map)
    return {name: converters.get(name, _number)(value) for name, value in fields.items()}


def _number(value: Any) -> Any:
    """A number as Python's, for the decoder to judge; other values as they are."""
    if not isinstance(value, msgspec.Raw):
        return value
    try:
        return msgspec.json.decode(value)
    except msgspec.DecodeError:  # too large for a float
        return math.inf


def _text(value: Any) -> Any:
    """A scalar as text; an array or an object as it is."""
    return value if value is None or isinstance(value, str | list | dict) else _encoded(value)


def _map(value: Any) -> Any:
    """A map of text: nulls are absent, and nested JSON is its text. PHP encodes an empty map as an empty array."""
    if value == []:
        return {}
    if not isinstance(value, dict):
        return _number(value)
    return {
        name: item if isinstance(item, str) else _encoded(item) for name, item in value.items() if item is not None
    }


def _encoded(value: Any) -> str:
    return msgspec.json.encode(value).decode()
