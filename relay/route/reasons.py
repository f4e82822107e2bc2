"""Reasons why a channel does not get an alert."""

from relay.domain.alerts import Alert
from relay.domain.channel_types import Filters
from relay.domain.errors import InvalidInput
from relay.domain.identity import named_source
from relay.domain.severities import label_value


def mismatch_reason(alert: Alert, filters: Filters, tenant_label: str, source: str = "") -> str | None:
    """Describe the first filter that an alert of a source does not match; None when the channel matches."""
    labels = alert.labels
    if not filters.enabled:
        return "the channel is disabled"
    if filters.source not in (None, named_source(source)):
        return f"source: expected {filters.source}; the alert has {named_source(source)!r}"
    for field, label, values in filters.label_filters(tenant_label):
        if label_value(labels, label) not in values:
            return f"{field}: expected {', '.join(values)}; the alert has {label_value(labels, label)!r}"
    try:
        matchers = filters.parsed_matchers()
    except InvalidInput as error:  # stored by a newer release; the routing table skips this channel as well
        return str(error)
    for matcher in matchers:
        if not matcher.matches(labels):
            return f"matchers: {matcher} does not match {labels.get(matcher.name, '')!r}"
    if not filters.send_resolved and not alert.firing:
        return "send_resolved: the channel does not get resolved alerts"
    return None
