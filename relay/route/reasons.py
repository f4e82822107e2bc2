"""Reasons why a channel does not get an alert."""

import msgspec

from relay.domain.alerts import Alert
from relay.domain.channel_types import Filters
from relay.domain.errors import InvalidInput
from relay.domain.identity import named_source
from relay.domain.severities import label_value


class Mismatch(msgspec.Struct, frozen=True):
    """The first filter that an alert does not match: the field, and the reason now and in the past tense."""

    field: str
    reason: str
    past: str


def mismatch_reason(alert: Alert, filters: Filters, tenant_label: str, source: str = "") -> str | None:
    """Describe the first filter that an alert of a source does not match; None when the channel matches."""
    found = mismatch(alert, filters, tenant_label, source)
    return None if found is None else found.reason


def mismatch(alert: Alert, filters: Filters, tenant_label: str, source: str = "") -> Mismatch | None:
    """Return the first filter that an alert of a source does not match; None when the channel matches."""
    labels = alert.labels
    if not filters.enabled:
        return Mismatch("enabled", "the channel is disabled", "the channel was disabled")
    if filters.source not in (None, named_source(source)):
        return _unexpected("source", str(filters.source), named_source(source))
    for field, label, values in filters.label_filters(tenant_label):
        if label_value(labels, label) not in values:
            return _unexpected(field, ", ".join(values), label_value(labels, label))
    try:
        matchers = filters.parsed_matchers()
    except InvalidInput as error:  # stored by a newer release; the routing table skips this channel as well
        return Mismatch("matchers", str(error), f"the channel was not valid: {error}")
    for matcher in matchers:
        if not matcher.matches(labels):
            actual = labels.get(matcher.name, "")
            return Mismatch(
                "matchers",
                f"matchers: {matcher} does not match {actual!r}",
                f"the matcher {matcher} of the channel did not match {actual!r}",
            )
    if not filters.send_resolved and not alert.firing:
        return Mismatch(
            "send_resolved",
            "send_resolved: the channel does not get resolved alerts",
            "the channel did not get resolved alerts (send_resolved)",
        )
    return None


def _unexpected(field: str, expected: str, actual: str) -> Mismatch:
    return Mismatch(
        field,
        f"{field}: expected {expected}; the alert has {actual!r}",
        f"{field} of the channel {'were' if field.endswith('s') else 'was'} {expected}, "
        f"the alert has {actual or 'none'}",
    )
