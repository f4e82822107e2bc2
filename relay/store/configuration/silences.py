"""Storage of silences. Users never delete them: one that is expired ends now."""

from typing import Any, Final

import msgspec

from relay.domain.silences import Silence
from relay.domain.versions import ObjectKind
from relay.store.configuration.filter_changes import recorded_changes
from relay.store.postgres.statements import DriverConnection, Statement

NOT_ENDED: Final = "(s.ends_at IS NULL OR s.ends_at > now())"
"""Whether the silence `s` may still be active at some time."""

# One statement reads version and silences consistently; without silences its one row has the version alone.
LOAD: Final = Statement(
    f"""
    SELECT v.version, s.id, s.body
    FROM config_version v LEFT JOIN silences s ON {NOT_ENDED}
    ORDER BY s.id
    """
)
LOAD_CHANGES: Final = Statement(
    f"""
    WITH {recorded_changes(ObjectKind.SILENCE)}
    SELECT v.version, v.is_complete, changed.id, s.body
    FROM current v
    LEFT JOIN changed ON v.is_complete
    LEFT JOIN LATERAL (
      SELECT s.body FROM silences s WHERE s.id = changed.id AND {NOT_ENDED} LIMIT 1
    ) AS s ON true
    """
)


async def load(connection: DriverConnection) -> tuple[int, dict[str, Silence]]:
    """Return the configuration version, and the silences that have not ended by id, from one snapshot."""
    rows = await LOAD.rows(connection)
    silences = {row["id"]: silence_of(row["id"], row["body"]) for row in rows if row["id"] is not None}
    return rows[0]["version"], silences


async def load_changes(connection: DriverConnection, since: int) -> tuple[int, dict[str, Silence | None]] | None:
    """Return the configuration version, and the silences that changed after the version `since`.

    One that has ended or was deleted is None. The result is None if not all changes are recorded, or too many;
    then all silences have to be loaded.
    """
    rows = await LOAD_CHANGES.rows(connection, since=since)
    if not rows[0]["is_complete"]:
        return None
    changed = [(row["id"], row["body"]) for row in rows if row["id"] is not None]
    return rows[0]["version"], {
        silence_id: None if body is None else silence_of(silence_id, body) for silence_id, body in changed
    }


def silence_of(silence_id: str, body: dict[str, Any]) -> Silence:
    """Return a silence from its columns."""
    return msgspec.convert(body | {"id": silence_id}, Silence)
