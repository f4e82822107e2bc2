"""The tables of alerts: series and their occurrences, webhooks and their senders."""

from enum import StrEnum
from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Double,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSON, JSONB

from relay.domain.alerts import Status
from relay.domain.series import EndReason

metadata: Final = MetaData()
_moment = DateTime(timezone=True)


def is_one_of(column: str, values: type[StrEnum]) -> str:
    """Return the condition that a column contains a value of an enum."""
    return f"{column} IN ({', '.join(repr(value.value) for value in values)})"


series = Table(
    "series",
    metadata,
    Column(
        "id",
        BigInteger,
        primary_key=True,
        autoincrement=False,
        comment="The id of its first alert, or another one.",
    ),
    Column("tenant_id", Text, nullable=False, comment="Empty when the alerts have no tenant."),
    Column("source", Text, nullable=False, comment="Empty when the webhook names no source."),
    Column("identity", LargeBinary, nullable=False, comment="A hash of the sender's fingerprint and all labels."),
    Column("labels", JSONB, nullable=False),
    Column(
        "open_alert_id",
        BigInteger,
        comment="The occurrence that has not ended; NULL when the series does not fire.",
    ),
    Column("reports", JSON, nullable=False, comment="The last report of each sender."),
    Column("version", BigInteger, nullable=False, comment="Incremented by every report."),
    UniqueConstraint("identity", "tenant_id", "source", name="series_identity"),
    comment="A label set of one tenant and source. At most one occurrence is open.",
)

alerts = Table(
    "alerts",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("tenant_id", Text, nullable=False, comment="Empty when the alert has no tenant."),
    Column("fingerprint", Text, nullable=False),
    Column("starts_at", _moment, nullable=False, comment="The earliest reported start."),
    Column("status", Text, nullable=False),
    Column("alertname", Text, nullable=False),
    Column("severity", Text),
    Column("category", Text),
    Column("annotations", JSONB, nullable=False),
    Column("ends_at", _moment),
    Column("generator_url", Text, nullable=False),
    Column("first_received_at", _moment, nullable=False),
    Column("last_received_at", _moment, nullable=False),
    Column("resolved_received_at", _moment),
    Column("group_hashes", ARRAY(BigInteger), nullable=False, comment="The groups that contained the alert."),
    Column("series_id", BigInteger, nullable=False, comment="No foreign key, which each new alert would check."),
    Column("source", Text, nullable=False, server_default=text("''")),
    Column("end_reason", Text, comment="resolved, lost (no resolve was received) or superseded; NULL while open."),
    Column("resolved_by", BigInteger, comment="The sender whose report ended it."),
    Column(
        "resolved_group_hashes",
        ARRAY(BigInteger),
        nullable=False,
        server_default=text("'{}'"),
        comment="The groups that reported its end.",
    ),
    Column("receipt_id", BigInteger, comment="The last accepted webhook that reported it as firing."),
    Column(
        "adopted",
        Boolean,
        nullable=False,
        server_default=text("false"),
        comment="Whether it was opened without a source, whose keys and messages it keeps.",
    ),
    Column(
        "routed",
        Boolean,
        nullable=False,
        server_default=text("true"),
        comment="Whether it matched a channel in any webhook.",
    ),
    CheckConstraint(is_one_of("status", Status), name="alerts_status"),
    CheckConstraint(is_one_of("end_reason", EndReason), name="alerts_end_reason"),
    CheckConstraint(f"(status = '{Status.RESOLVED}') = (end_reason IS NOT NULL)", name="alerts_end"),
    Index("alerts_ended", "series_id", "starts_at", postgresql_where=text("end_reason IS NOT NULL")),
    Index("alerts_open", "id", postgresql_where=text(f"status = '{Status.FIRING}'")),
    Index("alerts_stale", "id", postgresql_where=text(f"status = '{Status.STALE}'")),
    Index("alerts_unrouted", "id", postgresql_where=text("NOT routed")),
    comment="Occurrences: periods during which a series fires.",
)

group_states = Table(
    "group_states",
    metadata,
    Column("group_hash", BigInteger, primary_key=True, autoincrement=False),
    Column("version", BigInteger, nullable=False, comment="Incremented by every webhook of the group."),
    Column("senders", JSON, nullable=False, comment="The last state that each sender reported."),
    Column("updated_at", _moment, nullable=False),
    Index("group_states_updated_at", "updated_at"),
    comment="The last states of groups, by which duplicates are recognized.",
)

senders = Table(
    "senders",
    metadata,
    Column("source", Text, primary_key=True),
    Column("hash", BigInteger, primary_key=True, autoincrement=False),
    Column("external_url", Text, nullable=False),
    Column("address", Text, nullable=False, comment="The client's address, or the name that the webhook gives."),
    Column("first_seen_at", _moment, nullable=False),
    Column("last_seen_at", _moment, nullable=False, comment="Updated once a minute."),
    comment="The Alertmanager processes that send webhooks.",
)

sources = Table(
    "sources",
    metadata,
    Column("name", Text, primary_key=True),
    Column("stale_after", Double, comment="Seconds; NULL for the setting RELAY_STALE_AFTER."),
    comment="Settings of sources.",
)

receipts = Table(
    "receipts",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column(
        "group_hash",
        BigInteger,
        nullable=False,
        comment="A hash of the group_key, which may be too long to index.",
    ),
    Column("group_key", Text, nullable=False),
    Column("receiver", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("received_at", _moment, nullable=False),
    Column("body", LargeBinary, nullable=False, comment="The body of the webhook."),
    Column("alert_ids", ARRAY(BigInteger), nullable=False, comment="In the order of the body's alerts."),
    Column("source", Text, nullable=False, server_default=text("''")),
    Column("sender_hash", BigInteger, comment="NULL when it was received before senders were stored."),
    Column(
        "adopted",
        Boolean,
        nullable=False,
        server_default=text("false"),
        comment="Whether the group keeps the hash and messages that it had without a source.",
    ),
    Column(
        "late",
        ARRAY(Integer),
        nullable=False,
        server_default=text("'{}'"),
        comment="Positions of late alerts, which are not delivered.",
    ),
    Column("config_version", BigInteger, comment="The version of the configuration that routed it."),
    Index("receipts_group", "group_hash", "received_at"),
)

repeats = Table(
    "repeats",
    metadata,
    Column("receipt_id", BigInteger, primary_key=True, autoincrement=False),
    Column("sender_hash", BigInteger, primary_key=True, autoincrement=False),
    Column("kind", Text, primary_key=True),
    Column("count", Integer, nullable=False),
    Column("first_received_at", _moment, nullable=False),
    Column("last_received_at", _moment, nullable=False),
    CheckConstraint("kind IN ('duplicate', 'late')", name="repeats_kind"),
    comment="Duplicate and late reports, counted on the receipt that they repeat.",
)

acknowledgements = Table(
    "acknowledgements",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("alert_id", BigInteger, nullable=False),
    Column("author", Text, nullable=False, comment="The identity of who acknowledged the alert."),
    Column("author_name", Text, nullable=False),
    Column("comment", Text, nullable=False),
    Column("created_at", _moment, nullable=False, server_default=text("now()")),
    Column("until", _moment, comment="NULL: until the alert ends."),
    Column("ended_at", _moment, comment="When it was withdrawn or replaced; NULL while it holds."),
    Column("ended_by", Text, comment="The identity of who withdrew or replaced it."),
    Column("ended_by_name", Text),
    Index("acknowledgements_alert", "alert_id", unique=True, postgresql_where=text("ended_at IS NULL")),
    Index("acknowledgements_history", "alert_id", "id"),
    Index("acknowledgements_ended_at", "ended_at"),
    comment="Who takes care of an alert; its repeats are suppressed.",
)
