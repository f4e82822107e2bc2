"""Decoded webhooks, and what is derived from each before the stored state is known."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from relay.domain import identity
from relay.domain.alerts import Alert, Group
from relay.domain.forced_tenants import with_forced_tenant
from relay.domain.identity import Hashes, Sender
from relay.domain.repeats import GroupReport
from relay.domain.series import Report
from relay.store.outbox.ingest_rows import MAX_INDEXED_TEXT, SeriesKey


class Webhook(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A decoded webhook and its body. `source` is the stored one: empty if the webhook names none.

    `hashes` are computed from the group unless that is bounded, and the hashes are those of what was received.
    """

    body: bytes
    group: Group
    sender: Sender
    received_at: datetime
    source: str = ""
    hashes: Hashes | None = None


class Incoming(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A webhook with its hashes. `keys` has the series of each alert, in the order of the body.

    `series` has their identities.
    """

    webhook: Webhook
    sender: int
    url: int
    group_hash: int
    keys: tuple[SeriesKey, ...]
    series: frozenset[bytes]
    report: GroupReport

    def received(self, at: datetime) -> "Incoming":
        """The webhook as received at a time."""
        return msgspec.structs.replace(
            self,
            webhook=msgspec.structs.replace(self.webhook, received_at=at),
            report=msgspec.structs.replace(self.report, received_at=at),
        )

    @property
    def keys_without_source(self) -> tuple[SeriesKey, ...]:
        """The series that the alerts may have been reported as before the webhook named its source."""
        without = identity.without_name(self.webhook.source)
        if self.webhook.source == without:
            return ()
        return tuple([msgspec.structs.replace(key, source=without) for key in self.keys])

    def part(self, positions: Sequence[int]) -> "Incoming":
        """The webhook with some of its alerts only; its group and report remain those of the whole."""
        group = self.webhook.group
        alerts = tuple([group.alerts[at] for at in positions])
        return msgspec.structs.replace(
            self,
            webhook=msgspec.structs.replace(self.webhook, group=msgspec.structs.replace(group, alerts=alerts)),
            keys=tuple([self.keys[at] for at in positions]),
        )

    def report_of(self, alert: Alert, receipt_id: int | None, *, adopted: bool = False) -> Report:
        """One of its alerts as a report on a series."""
        received_at = self.webhook.received_at
        return Report(
            sender=self.sender,
            url=self.url,
            group=self.group_hash,
            receipt_id=receipt_id,
            received_at=received_at,
            firing=alert.firing,
            starts_at=alert.starts_at,
            ends_at=alert.ends_at or received_at,
            adopted=adopted,
        )


def derive(webhook: Webhook, tenant_label: str) -> Incoming:
    """Compute the hashes of a webhook, and give its alerts the tenant that its key forces.

    The hashes are those of the labels that were sent.
    """
    hashes = webhook.hashes or identity.hashes_of(webhook.group)
    group = with_forced_tenant(webhook.group, webhook.source, tenant_label)
    if group is not webhook.group:
        webhook = msgspec.structs.replace(webhook, group=group)
    sender = identity.sender_hash(webhook.sender)
    keys = tuple(
        [
            SeriesKey(tenant_of(alert, tenant_label), webhook.source, series)
            for series, alert in zip(hashes.identities, group.alerts, strict=True)
        ]
    )
    return Incoming(
        webhook=webhook,
        sender=sender,
        url=identity.url_hash(webhook.sender.external_url),
        group_hash=identity.group_hash(group.group_key, webhook.source),
        keys=keys,
        series=frozenset(hashes.identities),
        report=GroupReport(
            sender=sender,
            state=hashes.state,
            alerts=hashes.alerts,
            received_at=webhook.received_at,
            latest_start=max([alert.starts_at for alert in group.alerts if alert.firing], default=None),
        ),
    )


def tenant_of(alert: Alert, tenant_label: str) -> str:
    """The tenant of an alert, empty if it has none."""
    return alert.labels.get(tenant_label, "")[:MAX_INDEXED_TEXT]


def series_keys(batch: Sequence[Incoming]) -> list[SeriesKey]:
    """The keys of all series that a batch concerns, each once."""
    keys: dict[SeriesKey, None] = {}
    for incoming in batch:
        keys.update(dict.fromkeys(incoming.keys))
        keys.update(dict.fromkeys(incoming.keys_without_source))
    return list(keys)
