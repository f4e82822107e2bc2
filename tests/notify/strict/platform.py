"""What do strict platforms share: messages that are kept with their edits, and windows that limit a rate?"""

import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from aiohttp import web

Clock = Callable[[], float]


@dataclass
class Shown:
    """A message on a platform. `versions` is what it said, the one that people see now last."""

    reference: str
    versions: list[str]
    thread: str | None = None
    """The reference of the message that it replies to, or of the topic that it is in."""
    editable: bool = True

    @property
    def text(self) -> str:
        return self.versions[-1]


class Window:
    """Lets so many through in any stretch of so many seconds."""

    def __init__(self, limit: int, seconds: float, clock: Clock) -> None:
        self.limit, self.seconds = limit, seconds
        self._clock = clock
        self._passed: deque[float] = deque()

    @property
    def left(self) -> int:
        """How many would be let through now."""
        while self._passed and self._clock() - self._passed[0] >= self.seconds:
            self._passed.popleft()
        return self.limit - len(self._passed)

    @property
    def wait(self) -> float:
        """Seconds until the oldest of what passed counts no more."""
        return self._passed[0] + self.seconds - self._clock() if self._passed else 0.0

    def passes(self) -> bool:
        """Let one through, if there is room for it."""
        if self.left <= 0:
            return False
        self._passed.append(self._clock())
        return True


class StrictPlatform(ABC):
    """The script of a sink. `messages` is what people see now, in the order in which it came.

    What the platform would take although it should not have been sent (it pings, or loses links) is told as a 500.
    """

    def __init__(self, *, limited: bool = False, clock: Clock = time.monotonic) -> None:
        """`limited` also limits the rate as the platform does."""
        self.messages: list[Shown] = []
        self._limited, self._clock = limited, clock
        self._windows: dict[str, Window] = {}

    async def __call__(self, request: web.Request) -> web.Response:
        try:
            return await self.answer(request)
        except AssertionError as wrong:
            return web.Response(status=500, text=f"this would be taken, and should not be sent: {wrong}")

    @abstractmethod
    async def answer(self, request: web.Request) -> web.Response:
        """What the platform answers."""

    @property
    def told(self) -> list[str]:
        """What the messages say by now."""
        return [message.text for message in self.messages]

    def find(self, reference: str) -> Shown | None:
        """A message, unless it was deleted."""
        return next((message for message in self.messages if message.reference == reference), None)

    def delete(self, message: Shown) -> None:
        """Somebody deletes a message."""
        self.messages.remove(message)

    def window(self, name: str, limit: int, seconds: float) -> Window | None:
        """The window of this name; None if rates are not limited."""
        if not self._limited:
            return None
        return self._windows.setdefault(name, Window(limit, seconds, self._clock))


def check_links(links: list[str]) -> None:
    """Each leads to a web page."""
    for link in links:
        parts = urlsplit(link)
        assert parts.scheme in ("http", "https"), link
        assert parts.hostname, link
        assert link.isascii(), link
