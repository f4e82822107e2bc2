"""Which lanes does this process work off?"""

import asyncio
import contextlib
import os
import random
import secrets
import socket
from collections.abc import Sequence
from datetime import timedelta
from typing import Final

import structlog

from relay.deliver.attempt import AttemptContext, Patience
from relay.deliver.batches import Batches
from relay.deliver.lane import Lane, LaneContext
from relay.deliver.messages import Contents
from relay.deliver.overdue import Overdue
from relay.deliver.receipts import Receipts
from relay.deliver.settler import Settler
from relay.notify.sender import Sender
from relay.settings import Settings
from relay.store.configuration.seal import Seal
from relay.store.outbox import claims, lanes
from relay.store.outbox.claims import ClaimRequest, ClaimResult
from relay.store.outbox.lanes import Release
from relay.store.postgres.database import FAILED, Database, HeldConnection, in_words
from relay.telemetry import Metrics

POLL_EVERY: Final = 1.0
"""Seconds; the net under the wake-ups, and the way to lanes that other processes lost."""
RENEW_EVERY: Final = lanes.LEASE_SECONDS / 3
DIGEST_TIMEOUT: Final = 60.0
"""Seconds to read what a digest tells: three for 100,000 groups on two cores. Only other digests wait for it."""
SETTLE_TIMEOUT: Final = 2.0
"""Seconds that a stop gives the database for what was broken off."""
MAX_LANES: Final = 1024
MAX_LANES_AT_ONCE: Final = 64
"""Lanes that share a statement."""
MAX_UNDER_WAY: Final = 100
"""Requests under way in a process. Half of them bought as much speed in measurements; the other half is there for
those who share the process with channels whose platform hangs."""

log = structlog.get_logger(__name__)


class Worker:
    """Claims lanes that are due, and works each off in a task of its own."""

    def __init__(
        self,
        database: Database,
        sender: Sender,
        seal: Seal,
        metrics: Metrics,
        settings: Settings,
        history_url: str,
    ) -> None:
        """Nothing happens before `run`. `history_url` leads to what a delivery tells, its id put behind it."""
        worker = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
        # A claim that a crash of Postgres undoes is only claimed again; waiting for the disk would buy nothing.
        self._connection = HeldConnection(database, synchronous_commit="off")
        self._reading = HeldConnection(database)
        self._digesting = HeldConnection(database, DIGEST_TIMEOUT)
        self._settler = Settler(database, worker, self.wake)
        self._receipts = Receipts(self._reading)
        self._overdue = Overdue(database, metrics, self.wake, settings.fallback_after, settings.give_up_after)
        self._claims: Batches[ClaimRequest, ClaimResult] = Batches(self._claim_deliveries, MAX_LANES_AT_ONCE)
        self._releases: Batches[Release, tuple[bool, float | None]] = Batches(self._release, MAX_LANES_AT_ONCE)
        self._digest_after = settings.digest_after
        self._metrics = metrics
        patience = Patience(
            usual=timedelta(seconds=settings.give_up_after),
            resolved=timedelta(seconds=min(settings.give_up_after, settings.give_up_resolved_after)),
        )
        self._tools = LaneContext(
            worker=worker,
            connection=self._connection,
            claims=self._claims,
            releases=self._releases,
            contents=Contents(self._reading, self._digesting, self._receipts, history_url),
            means=AttemptContext(sender, metrics, patience, random.random),
            settler=self._settler,
            seal=seal,
            metrics=metrics,
            slots=asyncio.Semaphore(MAX_UNDER_WAY),
        )
        self._lanes: dict[str, Lane] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._woken: set[str] = set()
        self._look = asyncio.Event()
        self._look_everywhere = True
        self._stopping = False
        self._stopped = asyncio.Event()

    def wake(self, channel_ids: set[str]) -> None:
        """These channels have something to send."""
        for channel_id in channel_ids:
            if channel_id in self._lanes:
                self._lanes[channel_id].wake()
        self._woken |= channel_ids
        self._look.set()

    def wake_all(self) -> None:
        """Some channel has something to send, or may have by now."""
        for lane in self._lanes.values():
            lane.wake()
        self._look_everywhere = True
        self._look.set()

    async def run(self) -> None:
        """Deliver until cancelled; `stop` ends it in an orderly way."""
        parts = (self._settler, self._claims, self._releases, self._receipts, self._overdue)
        running = [*(part.run() for part in parts), self._renew(), self._poll()]
        background = [asyncio.create_task(part) for part in running]
        try:
            while not self._stopping:
                await self._look.wait()
                self._look.clear()
                await self._claim()
            await self._stopped.wait()
        finally:
            for task in background:
                task.cancel()
            await asyncio.gather(*background, return_exceptions=True)
            for held in (self._connection, self._reading, self._digesting):
                await held.drop()

    async def stop(self, patience: float) -> None:
        """Claim nothing more, wait some seconds for what is being sent, put the rest back, free the lanes."""
        self._stopping = True
        self._look.set()
        for lane in self._lanes.values():
            lane.stop()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=patience)
        for lane in self._lanes.values():
            lane.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=SETTLE_TIMEOUT)
        with contextlib.suppress(*FAILED):
            async with asyncio.timeout(SETTLE_TIMEOUT), self._connection.use() as driver:
                await lanes.give_back(driver, self._tools.worker)
        self._stopped.set()

    async def _claim(self) -> None:
        """Take the lanes that were named by a wake-up, or after a poll any that are due."""
        everywhere, self._look_everywhere = self._look_everywhere, False
        woken, self._woken = self._woken - self._lanes.keys(), set()
        room = MAX_LANES - len(self._lanes)
        if self._stopping or room <= 0 or not (everywhere or woken):
            return
        try:
            async with self._connection.use() as driver:
                leases = await lanes.claim_lanes(
                    driver,
                    self._tools.worker,
                    self._tools.seal,
                    room,
                    held=list(self._lanes),
                    only=None if everywhere else sorted(woken),
                )
        except FAILED as error:
            log.warning("claim_waits", error=in_words(error))
            return
        for lease in leases:
            self._begin(lease)

    def _begin(self, lease: lanes.Lease) -> None:
        if self._stopping:
            return  # it would outlive the stop, which gives the lease back
        lane = self._lanes[lease.channel_id] = Lane(lease, self._tools)
        self._metrics.lanes_held.set(len(self._lanes))
        task = asyncio.create_task(self._work_off(lane))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _work_off(self, lane: Lane) -> None:
        due_in: float | None = None
        try:
            due_in = await lane.run()
        except FAILED as error:
            log.warning("lane_waits", channel_id=lane.channel_id, error=in_words(error))
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
            await asyncio.sleep(POLL_EVERY)

    async def _renew(self) -> None:
        """Keep the leases of the lanes at work; one that was lost claims nothing more."""
        while True:
            await asyncio.sleep(RENEW_EVERY)
            held = dict(self._lanes)
            if not held:
                continue
            with contextlib.suppress(*FAILED):
                async with self._connection.use() as driver:
                    kept = await lanes.renew(driver, self._tools.worker, sorted(held))
                for channel_id, lane in held.items():
                    if kept.get(channel_id) != lane.epoch:
                        lane.stop()

    async def _claim_deliveries(self, asks: Sequence[ClaimRequest]) -> list[ClaimResult]:
        async with self._connection.use() as driver:
            answers = await claims.claim(driver, self._tools.worker, asks, self._digest_after)
        return [answers[ask.channel_id] for ask in asks]

    async def _release(self, asked: Sequence[Release]) -> list[tuple[bool, float | None]]:
        """Whether each was given back, and in how many seconds it is due again."""
        async with self._connection.use() as driver:
            due_in = await lanes.release(driver, self._tools.worker, asked)
        return [(one.channel_id in due_in, due_in.get(one.channel_id)) for one in asked]
