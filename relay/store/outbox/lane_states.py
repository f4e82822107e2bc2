"""The state of a channel that its lane keeps: the circuit breaker, and whether the relay disabled the channel."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from relay.domain.outcomes import Reason
from relay.store.configuration.versions import RECORD_DISABLED
from relay.store.postgres.statements import DriverConnection, Records, Statement


class LaneState(msgspec.Struct, frozen=True):
    """The state of a channel, to be written to its lane. `held_for` is in seconds, 0 for not at all."""

    channel_id: str
    epoch: int
    failures: int
    probes: int
    is_open: bool
    held_for: float
    succeeded: bool
    failed: bool
    reason: Reason | None
    error: str | None


WRITE_STATES: Final = Statement(
    """
    UPDATE lanes l SET
      failures = s.failures,
      probes = s.probes,
      opened_at = CASE WHEN s.is_open THEN coalesce(l.opened_at, now()) END,
      held_until = CASE WHEN s.held_for > 0 THEN now() + make_interval(secs => s.held_for) END,
      last_success_at = CASE WHEN s.succeeded THEN now() ELSE l.last_success_at END,
      last_failure_at = CASE WHEN s.failed THEN now() ELSE l.last_failure_at END,
      last_reason = CASE WHEN s.failed THEN s.reason ELSE l.last_reason END,
      last_error = CASE WHEN s.failed THEN s.error ELSE l.last_error END
    FROM :states AS s WHERE l.channel_id = s.channel_id AND l.owner = :worker AND l.epoch = s.epoch
    """,
    states=Records(
        LaneState,
        channel_id="text",
        epoch="bigint",
        failures="int",
        probes="int",
        is_open="boolean",
        held_for="float8",
        succeeded="boolean",
        failed="boolean",
        reason="text",
        error="text",
    ),
)

# Only if the channel still has the settings of the attempt: they may have been corrected since.
DISABLE: Final = Statement(
    f"""
    WITH disabled AS (
      UPDATE channels
      SET config = jsonb_set(config, '{{enabled}}', 'false'), disabled_reason = :reason, updated_at = now()
      WHERE id = :channel_id AND updated_at = :config_version AND enabled
      RETURNING id, tenant_id, channel_type, config, disabled_reason
    )
    {RECORD_DISABLED}
    """
)


async def write_states(connection: DriverConnection, worker: str, states: Sequence[LaneState]) -> None:
    """Write the states of channels, each at most once. Lanes that were lost are ignored."""
    await WRITE_STATES.execute(connection, worker=worker, states=states)


async def disable(connection: DriverConnection, channel_id: str, config_version: Any, reason: str) -> None:
    """Disable a channel whose destination is gone, unless its settings changed since `config_version`."""
    await DISABLE.execute(connection, channel_id=channel_id, config_version=config_version, reason=reason)
