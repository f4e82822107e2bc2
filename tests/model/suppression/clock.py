"""The clock of a run, which may jump ahead."""

import time
from datetime import UTC, datetime, timedelta


class Clock:
    """The real time, and what was added by jumps. Moments are seconds of the monotonic clock."""

    def __init__(self) -> None:
        self._jumps = [(float("-inf"), timedelta())]
        self._started = datetime.now(UTC) - timedelta(seconds=time.monotonic())

    def now(self) -> datetime:
        """The time that this clock shows."""
        return self._shown(time.monotonic(), self._jumps[-1][1])

    def jump(self, by: timedelta) -> None:
        """Move the clock ahead."""
        self._jumps.append((time.monotonic(), self._jumps[-1][1] + by))

    def moment(self, at: datetime) -> float:
        """The moment of a real time."""
        return (at - self._started).total_seconds()

    def reach(self, at: datetime) -> float:
        """The moment at which the clock shows this time, or a later one; with no jumps after those so far."""
        for number, (began, ahead) in enumerate(self._jumps):
            moment = max(began, self.moment(at - ahead))
            if number + 1 == len(self._jumps) or moment < self._jumps[number + 1][0]:
                return moment
        raise AssertionError("the last jump has no end")

    def _shown(self, moment: float, ahead: timedelta) -> datetime:
        return self._started + timedelta(seconds=moment) + ahead
