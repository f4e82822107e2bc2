"""Replace `slack_reply_resolved` of channels and channel templates by the value `resolved` of `notify_on`."""

import json
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

EARLIER = "slack_reply_resolved"
LATER = "notify_on"
ADDED = ("slack_mention_group", "discord_mention_role", "mention_severities", LATER)

Settings = dict[str, Any]


def upgrade() -> None:
    """Rewrite what has the earlier field."""
    _rewrite_all(upgraded)


def downgrade() -> None:
    """The earlier release rejects the fields that it does not know."""
    _rewrite_all(downgraded)


def _rewrite_all(rewrite: Callable[[Settings, Any], Settings]) -> None:
    connection = op.get_bind()
    for row in connection.execute(sa.text("SELECT id, channel_type, config FROM channels")).all():
        _store("channels", "config", row.id, row.config, rewrite(row.config, row.channel_type))
    for row in connection.execute(sa.text("SELECT id, body FROM channel_templates")).all():
        channels = [rewrite(channel, channel.get("channel_type")) for channel in row.body["channels"]]
        _store("channel_templates", "body", row.id, row.body, row.body | {"channels": channels})


def _store(table: str, column: str, row_id: str, before: Settings, after: Settings) -> None:
    if after != before:
        statement = sa.text(f"UPDATE {table} SET {column} = CAST(:stored AS jsonb) WHERE id = :id")
        op.get_bind().execute(statement, {"stored": json.dumps(after), "id": row_id})


def upgraded(channel: Settings, _: Any) -> Settings:
    """A channel whose replies to resolved alerts, which were off by default, stay as they are."""
    if EARLIER not in channel:
        return channel
    rest = {key: value for key, value in channel.items() if key != EARLIER}
    return rest | ({LATER: ["firing", "repeat", "resolved"]} if channel[EARLIER] is True else {})


def downgraded(channel: Settings, channel_type: Any) -> Settings:
    """A channel as the earlier release stores it."""
    rest = {key: value for key, value in channel.items() if key not in ADDED}
    replies = channel_type == "slack" and "resolved" in channel.get(LATER, ())
    return rest | ({EARLIER: True} if replies else {})
