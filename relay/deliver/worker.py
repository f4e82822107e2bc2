"""The worker: claims due lanes, and delivers each in its own task."""

import asyncio
import contextlib
import os
import random
import secrets
import socket
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

import structlog

from relay.deliver.attempt import AttemptContext
from relay.deliver.batcher import Batcher
from relay.deliver.lane import Lane, LaneContext
from relay.deliver.maintenance import Maintenance
from relay.deliver.messages import MessageReader
from relay.deliver.receipt_cache import ReceiptCache
from relay.deliver.releases import Releases
from relay.deliver.result_writer import ResultWriter
from relay.deliver.screening import Screening
from relay.deliver.silence_upkeep import SilenceUpkeep
from relay.deliver.silences import CurrentSilences
from relay.notify.sender import Sender
from relay.settings import Settings
from relay.store.configuration.seal import Seal
from relay.store.outbox import claims, lanes
from relay.store.outbox.claims import ClaimRequest, ClaimResult
from relay.store.outbox.lanes import Release
from relay.store.postgres.database import FAILED, Database, HeldConnection, error_message
from relay.telemetry import Metrics

POLL_INTERVAL: Final = 1.0
"""Seconds; a poll finds lanes that no wake-up named, such as those that another process lost."""
RENEW_INTERVAL: Final = lanes.LEASE_SECONDS / 3
DIGEST_TIMEOUT: Final = 60.0
"""Seconds to read a digest: 100,000 groups take three on two cores. Only other digests wait meanwhile."""
SETTLE_TIMEOUT: Final = 2.0
"""Seconds to settle canceled attempts when the worker stops."""
MAX_LANES: Final = 1024
MAX_LANES_AT_ONCE: Final = 64
"""Lanes that share a statement."""
MAX_IN_FLIGHT: Final = 100
"""Attempts in flight in a process. Half as many were as fast in measurements; the rest is for channels that share
the process with a platform that hangs."""

log = structlog.get_logger(__name__)


class Worker:
    """Claims lanes that are due, and runs each in its own task."""

    def __init__(
        self,
        database: Database,
        sender: Sender,
        seal: Seal,
        metrics: Metrics,
        settings: Settings,
        history_url: str,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Nothing happens before `run`. `history_url` with a delivery's id appended leads to its alerts."""
        worker = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
        # Without waiting for the disk: a claim that is undone by a crash of Postgres is just claimed again.
        self._connection = HeldConnection(database, synchronous_commit="off")
        self._read_connection = HeldConnection(database)
        self._digest_connection = HeldConnection(database, DIGEST_TIMEOUT)
        self._writer = ResultWriter(database, worker, self.wake)
        self._receipts = ReceiptCache(self._read_connection, settings.tenant_label)
        self._maintenance = Maintenance(
            database, metrics, self.wake, settings.fallback_after, settings.give_up_after, settings.stale_after
        )
        silences = CurrentSilences(now)
        self._screening = Screening(database, silences, metrics)
        self._held = Releases(database, silences, self.wake)
        self._others = (self._held, SilenceUpkeep(database, self.wake, settings.tenant_label))
        self._claims: Batcher[ClaimRequest, ClaimResult] = Batcher(self._claim_deliveries, MAX_LANES_AT_ONCE)
        self._releases: Batcher[Release, tuple[bool, float | None]] = Batcher(
            self._release_lanes, MAX_LANES_AT_ONCE
        )
        self._digest_after, self._metrics = settings.digest_after, metrics
        self._context = LaneContext(
            worker=worker,
            connection=self._connection,
            claims=self._claims,
            releases=self._releases,
            messages=MessageReader(self._read_connection, self._digest_connection, self._receipts, history_url),
            screening=self._screening,
            attempts=_attempt_context(sender, metrics, settings),
            writer=self._writer,
            seal=seal,
            metrics=metrics,
            slots=asyncio.Semaphore(MAX_IN_FLIGHT),
        )
        self._lanes: dict[str, Lane] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._woken: set[str] = set()
        self._wake_up = asyncio.Event()
        self._claim_any = True
        """Whether the next claim takes any lanes that are due, and not only those that were woken."""
        self._stopping, self._stopped = False, asyncio.Event()

    def wake(self, channel_ids: set[str]) -> None:
        """Claim the lanes of these channels, which have deliveries to send."""
        for channel_id in channel_ids:
            if channel_id in self._lanes:
                self._lanes[channel_id].wake()
        self._woken |= channel_ids
        self._wake_up.set()

    def wake_all(self) -> None:
        """Claim any lanes that are due, and look for what is no longer suppressed."""
        self._held.wake()
        for lane in self._lanes.values():
            lane.wake()
        self._claim_any = True
        self._wake_up.set()

    async def run(self) -> None:
        """Deliver until canceled; `stop` ends it gracefully."""
        services = (
            *(self._writer, self._claims, self._releases, self._receipts),
            *(self._maintenance, self._screening, *self._others),
        )
        loops = [*(service.run() for service in services), self._renew_leases(), self._poll()]
        background = [asyncio.create_task(loop) for loop in loops]
        try:
            while not self._stopping:
                await self._wake_up.wait()
                self._wake_up.clear()
                await self._claim_lanes()
            await self._stopped.wait()
        finally:
            for task in background:
                task.cancel()
            await asyncio.gather(*background, return_exceptions=True)
            for held in (self._connection, self._read_connection, self._digest_connection, self._screening):
                await held.drop()

    async def stop(self, grace_period: float) -> None:
        """Stop claiming, wait `grace_period` seconds for attempts, cancel the rest, and release the lanes."""
        self._stopping = True
        self._wake_up.set()
        for lane in self._lanes.values():
            lane.stop()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=grace_period)
        for lane in self._lanes.values():
            lane.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=SETTLE_TIMEOUT)
        with contextlib.suppress(*FAILED):
            async with asyncio.timeout(SETTLE_TIMEOUT), self._connection.use() as driver:
                await lanes.release_all(driver, self._context.worker)
        self._stopped.set()

    async def _claim_lanes(self) -> None:
        """Claim the lanes that were woken, or after a poll any that are due."""
        claim_any, self._claim_any = self._claim_any, False
        woken, self._woken = self._woken - self._lanes.keys(), set()
        room = MAX_LANES - len(self._lanes)
        if self._stopping or room <= 0 or not (claim_any or woken):
            return
        try:
            async with self._connection.use() as driver:
                leases = await lanes.claim_lanes(
                    driver,
                    self._context.worker,
                    self._context.seal,
                    room,
                    held=list(self._lanes),
                    only=None if claim_any else sorted(woken),
                )
        except FAILED as error:
            log.warning("claim_failed", error=error_message(error))
            return
        for lease in leases:
            self._start_lane(lease)

    def _start_lane(self, lease: lanes.Lease) -> None:
        if self._stopping:
            return  # `stop` releases the lease
        lane = self._lanes[lease.channel_id] = Lane(lease, self._context)
        self._metrics.lanes_held.set(len(self._lanes))
        task = asyncio.create_task(self._run_lane(lane))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run_lane(self, lane: Lane) -> None:
        due_in: float | None = None
        try:
            due_in = await lane.run()
        except FAILED as error:
            log.warning("lane_failed", channel_id=lane.channel_id, error=error_message(error))
        finally:
            await lane.drain()
            del self._lanes[lane.channel_id]
            self._metrics.lanes_held.set(len(self._lanes))
        if due_in is not None:
            asyncio.get_running_loop().call_later(max(due_in, 0.0), self.wake, {lane.channel_id})
        if len(self._lanes) == MAX_LANES - 1:
            self.wake_all()

    async def _poll(self) -> None:
        while True:
            self.wake_all()
            await asyncio.sleep(POLL_INTERVAL)

    async def _renew_leases(self) -> None:
        """Renew the leases of running lanes; a lane whose lease was lost stops."""
        while True:
            await asyncio.sleep(RENEW_INTERVAL)
            held = dict(self._lanes)
            if not held:
                continue
            with contextlib.suppress(*FAILED):
                async with self._connection.use() as driver:
                    kept = await lanes.renew(driver, self._context.worker, sorted(held))
                for channel_id, lane in held.items():
                    if kept.get(channel_id) != lane.epoch:
                        lane.stop()

    async def _claim_deliveries(self, requests: Sequence[ClaimRequest]) -> list[ClaimResult]:
        async with self._connection.use() as driver:
            results = await claims.claim(driver, self._context.worker, requests, self._digest_after)
        return [results[request.channel_id] for request in requests]

    async def _release_lanes(self, releases: Sequence[Release]) -> list[tuple[bool, float | None]]:
        """Return whether each lane was released, and in how many seconds it is due again."""
        async with self._connection.use() as driver:
            due_in = await lanes.release(driver, self._context.worker, releases)
        return [(release.channel_id in due_in, due_in.get(release.channel_id)) for release in releases]


def _attempt_context(sender: Sender, metrics: Metrics, settings: Settings) -> AttemptContext:
    give_up_resolved_after = min(settings.give_up_after, settings.give_up_resolved_after)
    return AttemptContext(
        sender=sender,
        metrics=metrics,
        give_up_after=timedelta(seconds=settings.give_up_after),
        give_up_resolved_after=timedelta(seconds=give_up_resolved_after),
        jitter=random.random,
    )
