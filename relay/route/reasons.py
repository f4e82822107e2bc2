"""Why does a channel not want an alert?"""

from relay.domain.alerts import Alert
from relay.domain.channel_types import Filters
from relay.domain.errors import InvalidInput


def mismatch_reason(alert: Alert, filters: Filters, tenant_label: str) -> str | None:
    """The first filter that stops the alert, in words for people; None when the channel matches."""
    labels = alert.labels
    if not filters.enabled:
        return "the channel is disabled"
    if filters.tenant_id is not None and labels.get(tenant_label, "") != filters.tenant_id:
        return f"tenant_id: wants {filters.tenant_id!r}, the alert has {labels.get(tenant_label, '')!r}"
    for field, label, values in (
        ("severities", "severity", filters.severities),
        ("alert_names", "alertname", filters.alert_names),
        ("alert_categories", "category", filters.alert_categories),
    ):
        if values and labels.get(label, "") not in values:
            return f"{field}: wants {', '.join(values)}, the alert has {labels.get(label, '')!r}"
    try:
        matchers = filters.parsed_matchers()
    except InvalidInput as error:  # stored by a release that knew more; routing sets the channel aside too
        return str(error)
    for matcher in matchers:
        if not matcher.matches(labels):
            return f"matchers: {matcher} does not match {labels.get(matcher.name, '')!r}"
    if not filters.send_resolved and not alert.firing:
        return "send_resolved: the channel is not told of resolved alerts"
    return None
