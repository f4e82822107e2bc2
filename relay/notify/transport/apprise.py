"""Notifications through the Apprise library."""

import asyncio
import importlib.util
import logging
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any, Final

from relay.domain.outcomes import Outcome, Reason, Retry, Sent
from relay.notify.requests import Notice
from relay.notify.transport.egress_policy import BlockedAddress, EgressPolicy
from relay.notify.transport.guarded_sockets import guarded

MAX_THREADS: Final = 16
"""Concurrent calls. A call that exceeds its timeout occupies its thread until it returns."""
NOT_INSTALLED: Final = "Apprise is not installed: pip install 'alert-relay[apprise]'"
NOT_DELIVERED: Final = "Apprise could not deliver it and gave no reason"


class Apprise:
    """Runs the blocking library in its own threads."""

    def __init__(self, policy: EgressPolicy, timeout: float) -> None:
        """`timeout` is in seconds, for one message."""
        self._policy = policy
        self._timeout = timeout
        self._threads = ThreadPoolExecutor(MAX_THREADS, "apprise")

    async def send(self, notice: Notice) -> Outcome:
        """Send a notice.

        Raises:
            TimeoutError: it takes too long. It may be delivered nevertheless.
        """
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(self._timeout):
            return await loop.run_in_executor(self._threads, _notify, notice, self._policy)

    def close(self) -> None:
        """Cancel the calls that have not started."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _notify(notice: Notice, policy: EgressPolicy) -> Outcome:
    if importlib.util.find_spec("apprise") is None:
        return Retry(Reason.OTHER, NOT_INSTALLED)
    try:
        service = service_for(notice.url)
        if service is None:
            return Retry(Reason.CLIENT_ERROR, "Apprise does not support the URL")
        apprise = load_apprise().Apprise(asset=_asset())
        apprise.add(service)
        with guarded(policy):
            delivered = apprise.notify(
                title=notice.title, body=notice.text, notify_type=notice.notify_type, body_format="text"
            )
    except BlockedAddress as error:
        return Retry(Reason.BLOCKED_TARGET, str(error))
    except Exception as error:  # a bug in one of its many plugins is not an error of the message
        return Retry(Reason.OTHER, f"{NOT_DELIVERED}: {type(error).__name__}")
    return Sent(detail="accepted by Apprise") if delivered else Retry(Reason.OTHER, NOT_DELIVERED)


def service_for(url: str) -> Any:
    """Apprise's object for a URL; None if it does not support the URL."""
    service = load_apprise().Apprise.instantiate(url, asset=_asset(), suppress_exceptions=True)
    if service is not None and "overflow=" not in url:
        # A service with a shorter limit receives the start of the text, instead of nothing or many parts.
        service.overflow_mode = load_apprise().OverflowMode.TRUNCATE
    return service


@cache
def load_apprise() -> Any:
    """Import the library, which is optional. Its log is discarded, because it may contain secret URLs."""
    logger = logging.getLogger("apprise")
    logger.propagate = False
    logger.addHandler(logging.NullHandler())
    import apprise

    return apprise


@cache
def _asset() -> Any:
    """Apprise's settings: no files on disk, no redirects."""
    return load_apprise().AppriseAsset(
        app_id="Alert Relay", storage_mode="memory", http_redirects=False, async_mode=False
    )
