"""Sending with the Apprise library, off the event loop."""

import asyncio
import importlib.util
import logging
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any, Final

from relay.domain.outcomes import Outcome, Reason, Retry, Sent
from relay.notify.requests import Notice

MAX_THREADS: Final = 16
"""Channels that are told at once. A call that outlasts its time-out keeps its thread until it ends."""
NOT_INSTALLED: Final = "Apprise is not installed: pip install 'alert-relay[apprise]'"
NOT_DELIVERED: Final = "apprise could not deliver; it does not say why"


class Apprise:
    """Runs Apprise off the event loop, in threads of its own."""

    def __init__(self, timeout: float) -> None:
        """`timeout` is in seconds, for one message."""
        self._timeout = timeout
        self._threads = ThreadPoolExecutor(MAX_THREADS, "apprise")

    async def send(self, notice: Notice) -> Outcome:
        """Let Apprise tell a notice.

        Raises:
            TimeoutError: it took too long, and may be told all the same.
        """
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(self._timeout):
            return await loop.run_in_executor(self._threads, _notify, notice)

    def close(self) -> None:
        """Begin nothing more."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _notify(notice: Notice) -> Outcome:
    if importlib.util.find_spec("apprise") is None:
        return Retry(Reason.OTHER, NOT_INSTALLED)
    try:
        service = service_for(notice.url)
        if service is None:
            return Retry(Reason.CLIENT_ERROR, "Apprise does not know the URL")
        told = load_apprise().Apprise(asset=_asset())
        told.add(service)
        done = told.notify(
            title=notice.title, body=notice.text, notify_type=notice.notify_type, body_format="text"
        )
    except Exception as error:  # a mistake of one of its many plugins is no fault of the message
        return Retry(Reason.OTHER, f"{NOT_DELIVERED}: {type(error).__name__}")
    return Sent(detail="taken by Apprise") if done else Retry(Reason.OTHER, NOT_DELIVERED)


def service_for(url: str) -> Any:
    """Apprise's own object for a URL; None when it knows none."""
    found = load_apprise().Apprise.instantiate(url, asset=_asset(), suppress_exceptions=True)
    if found is not None and "overflow=" not in url:
        # A service that takes less gets the start, rather than nothing, or a flood of parts.
        found.overflow_mode = load_apprise().OverflowMode.TRUNCATE
    return found


@cache
def load_apprise() -> Any:
    """The library, which may not be there; its log is left unheard, for it may show a URL."""
    logger = logging.getLogger("apprise")
    logger.propagate = False
    logger.addHandler(logging.NullHandler())
    import apprise

    return apprise


@cache
def _asset() -> Any:
    """How Apprise behaves: it keeps nothing on disk, and is not led elsewhere."""
    return load_apprise().AppriseAsset(
        app_id="Alert Relay", storage_mode="memory", http_redirects=False, async_mode=False
    )
