"""What the strict platforms share: stored messages with their edits, and rate limits."""

import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from aiohttp import web

Clock = Callable[[], float]


@dataclass
class PostedMessage:
    """A message on a platform. `versions` has its texts, the current one last."""

    reference: str
    versions: list[str]
    thread: str | None = None
    """The reference of the message that it replies to, or of its topic."""
    editable: bool = True

    @property
    def text(self) -> str:
        return self.versions[-1]


class RateWindow:
    """A sliding window of `seconds` that allows `limit` requests."""

    def __init__(self, limit: int, seconds: float, clock: Clock) -> None:
        self.limit, self.seconds = limit, seconds
        self._clock = clock
        self._times: deque[float] = deque()

    @property
    def remaining(self) -> int:
        """How many requests are allowed now."""
        while self._times and self._clock() - self._times[0] >= self.seconds:
            self._times.popleft()
        return self.limit - len(self._times)

    @property
    def wait(self) -> float:
        """Seconds until the oldest request leaves the window."""
        return self._times[0] + self.seconds - self._clock() if self._times else 0.0

    def allow(self) -> bool:
        """Count a request if it is allowed."""
        if self.remaining <= 0:
            return False
        self._times.append(self._clock())
        return True


class StrictPlatform(ABC):
    """The script of a sink. `messages` has the current messages in the order of their arrival.

    A request that the platform would accept but the relay should not send, such as one that mentions people, is
    answered with a 500.
    """

    def __init__(self, *, limited: bool = False, clock: Clock = time.monotonic) -> None:
        """`limited` also enforces the rate limit of the platform."""
        self.messages: list[PostedMessage] = []
        self._limited, self._clock = limited, clock
        self._windows: dict[str, RateWindow] = {}

    async def __call__(self, request: web.Request) -> web.Response:
        try:
            return await self.respond(request)
        except AssertionError as error:
            return web.Response(status=500, text=f"this would be accepted, but should not be sent: {error}")

    @abstractmethod
    async def respond(self, request: web.Request) -> web.Response:
        """The response of the platform."""

    @property
    def texts(self) -> list[str]:
        """The current text of each message."""
        return [message.text for message in self.messages]

    def find(self, reference: str) -> PostedMessage | None:
        """A message; None if it does not exist or was deleted."""
        return next((message for message in self.messages if message.reference == reference), None)

    def delete(self, message: PostedMessage) -> None:
        """Delete a message, as a user would."""
        self.messages.remove(message)

    def window(self, name: str, limit: int, seconds: float) -> RateWindow | None:
        """The window of this name; None without rate limits."""
        if not self._limited:
            return None
        return self._windows.setdefault(name, RateWindow(limit, seconds, self._clock))


def check_links(links: list[str]) -> None:
    """Fail unless every link is a URL of a web page."""
    for link in links:
        parts = urlsplit(link)
        assert parts.scheme in ("http", "https"), link
        assert parts.hostname, link
        assert link.isascii(), link
