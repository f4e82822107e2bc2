"""Storage of silences as of a time, which may be one that has passed."""

from datetime import datetime
from typing import Final

from relay.domain.silences import Silence
from relay.store.configuration.silences import silence_of
from relay.store.postgres.statements import DriverConnection, Statement

SILENCES_AT: Final = Statement(
    "SELECT s.id, s.body FROM silences s "
    "WHERE s.starts_at <= :at AND (s.ends_at IS NULL OR s.ends_at > :at) ORDER BY s.id"
)


async def load_silences_at(connection: DriverConnection, at: datetime) -> dict[str, Silence]:
    """Return the silences that have begun and not ended at a time, by id; recurring ones may be inactive then."""
    rows = await SILENCES_AT.rows(connection, at=at)
    return {row["id"]: silence_of(row["id"], row["body"]) for row in rows}
