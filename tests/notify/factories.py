"""Alerts, notifications, digests and channels for tests."""

from datetime import UTC, datetime, timedelta
from typing import Any

from relay.domain.alerts import Alert, Group, Status, fingerprint
from relay.domain.channel_types import (
    AppriseChannel,
    BaseChannel,
    Channel,
    EmailChannel,
    PagerDutyChannel,
    SmsChannel,
    TelegramChannel,
    own_fields,
    type_name,
)
from relay.domain.channels import parse_channel
from relay.domain.notifications import AlertCount, Digest, FallbackFor, Notification
from relay.domain.severities import severity_rank

STARTED = datetime(2026, 11, 23, 15, 33, 27, tzinfo=UTC)
SOURCE = "http://prometheus.example.com/graph?g0.expr=up"
RUNBOOK = "https://runbooks.example.com/disk"
ALERTMANAGER = "http://alertmanager.example.com"
HISTORY = "https://relay.example.com/api/v1/monitoring/alerts/deliveries/42"
MAILED = {
    "smtp_host": "mail.example.com",
    "email_from": "relay@example.com",
    "email_to": ["ops@example.com", "db@example.org"],
}
FALLBACK = FallbackFor(channel_id="slack-critical", reason="circuit breaker open since 15:33")


def alert(
    name: str = "DiskFull",
    status: str = "firing",
    severity: str = "critical",
    *,
    annotations: dict[str, str] | None = None,
    url: str = SOURCE,
    **labels: str,
) -> Alert:
    labels = {"alertname": name, "severity": severity} | labels
    return Alert(
        status=Status(status),
        labels={label: value for label, value in labels.items() if value},
        annotations={"summary": f"{name} is {status}"} if annotations is None else annotations,
        starts_at=STARTED,
        ends_at=STARTED + timedelta(minutes=7) if status == "resolved" else None,
        generator_url=url,
        fingerprint=fingerprint(labels),
    )


def notification(
    *alerts: Alert,
    truncated: int = 0,
    external_url: str = ALERTMANAGER,
    unnotified: frozenset[int] = frozenset(),
    history_url: str = "",
    fallback_for: FallbackFor | None = None,
) -> Notification:
    alerts = alerts or (alert(),)
    group = Group(
        group_key='{}:{team="db"}',
        receiver=r"web\.hook",
        alerts=alerts,
        group_labels={},
        common_labels={},
        common_annotations={},
        external_url=external_url,
        truncated=truncated,
    )
    return Notification(
        id="42",
        channel_id="c",
        group=group,
        alerts=alerts,
        unnotified=unnotified,
        history_url=history_url,
        fallback_for=fallback_for,
    )


def count(alertname: str, severity: str = "critical", firing: int = 1, resolved: int = 0) -> AlertCount:
    return AlertCount(severity=severity, alertname=alertname, firing=firing, resolved=resolved)


def digest(
    *counts: AlertCount,
    groups: int = 27,
    alerts: tuple[Alert, ...] | None = None,
    history_url: str = HISTORY,
    fallback_for: FallbackFor | None = None,
) -> Digest:
    """A digest of these counts, the most severe first, with an alert for each of the first ten."""
    counts = tuple(sorted(counts or (count("DiskFull"),), key=lambda one: severity_rank(one.severity)))
    first = tuple(
        alert(count.alertname, "firing" if count.firing else "resolved", count.severity) for count in counts[:10]
    )
    return Digest(
        id="42",
        channel_id="c",
        groups=groups,
        counts=counts,
        alerts=first if alerts is None else alerts,
        history_url=history_url,
        fallback_for=fallback_for,
    )


BOT_TOKEN = "123456789:AAxJ9f-Qw3_kLmZ8vTt0pR2aBcDeFgHiJk"
ROUTING_KEY = "R0xJ9fQw3kLmZ8vTt0pR2aBcDeFgHiJk"
ACCOUNT = "AC" + "0123456789abcdef" * 2
AUTH_TOKEN = "fedcba98" * 4
TOKENS: dict[type[BaseChannel], tuple[str, dict[str, Any]]] = {
    TelegramChannel: ("telegram_api_url", {"bot_token": BOT_TOKEN, "chat_id": "42"}),
    PagerDutyChannel: ("pagerduty_url", {"routing_key": ROUTING_KEY}),
    SmsChannel: (
        "twilio_url",
        {"account_sid": ACCOUNT, "auth_token": AUTH_TOKEN, "sms_from": "+15005550006", "sms_to": ["+15005550001"]},
    ),
}
"""Channel types whose URL is not secret: the field of the URL, and the other required settings."""


def channel(channel_type: type[BaseChannel], url: str = "https://hooks.example.com/x", **settings: Any) -> Channel:
    """A channel of any type. A new type without a `webhook_url` adds its settings here."""
    if channel_type in TOKENS:
        field, given = TOKENS[channel_type]
        return parse_channel({"channel_type": type_name(channel_type), "name": "c", field: url} | given | settings)
    if channel_type is EmailChannel:
        return parse_channel({"channel_type": "email", "name": "c"} | MAILED | settings)
    if channel_type is AppriseChannel:
        url = "json" + url.removeprefix("http") if url.startswith("http") else url
        return parse_channel({"channel_type": "apprise", "name": "c", "apprise_url": url} | settings)
    assert "webhook_url" in own_fields(channel_type), (
        f"add the settings of a {type_name(channel_type)} channel here"
    )
    return parse_channel({"channel_type": type_name(channel_type), "name": "c", "webhook_url": url} | settings)
