"""The key set of a token issuer: fetched, cached and refreshed in the background."""

import asyncio
import math
import time
import warnings
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import aiohttp
import msgspec
import structlog
from joserfc.errors import JoseError, SecurityWarning
from joserfc.jwk import JWKRegistry, Key
from joserfc.jws import JWSRegistry

from relay.domain.errors import RelayError, Unauthorized, Unavailable
from relay.notify.requests import Request
from relay.notify.transport.egress_policy import EgressPolicy
from relay.notify.transport.http import MAX_RESPONSE, HttpTransport
from relay.notify.transport.proxy import ProxySettings

FETCH_TIMEOUT: Final = 5.0
REFRESH_AFTER: Final = 300.0
REFETCH_AFTER: Final = 10.0
"""Between two fetches for unknown keys, so that tokens with invented key ids do not flood the issuer."""
ACCEPT: Final = {"Accept": "application/jwk-set+json, application/json"}

Fetch = Callable[[str], Awaitable[bytes]]
"""Returns the body at a URL; raises a RelayError with the reason, or any other error."""

log = structlog.get_logger(__name__)


class _Document(msgspec.Struct):
    """A JSON Web Key Set. https://www.rfc-editor.org/rfc/rfc7517#section-5"""

    keys: list[Any]


class KeySetCache:
    """The last good key set of an issuer. The first `find` starts the background task that refreshes it."""

    def __init__(
        self,
        fetch: Fetch,
        url: str,
        algorithms: Sequence[str],
        *,
        timeout: float = FETCH_TIMEOUT,
        refresh_after: float = REFRESH_AFTER,
        refetch_after: float = REFETCH_AFTER,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Only keys for one of the algorithms are kept. Times are in seconds.

        `timeout` limits a fetch, and how long a token with an unknown key waits. `clock` limits the fetches for
        unknown keys.
        """
        self._fetch, self._url, self._algorithms = fetch, url, algorithms
        self._timeout, self._refresh_after, self._refetch_after = timeout, refresh_after, refetch_after
        self._clock = clock
        self._keys: Sequence[Key] = ()
        self._is_fresh = False
        """Whether the last fetch succeeded."""
        self._next_refetch = -math.inf
        self._fetching: asyncio.Task[None] | None = None
        self._refresher: asyncio.Task[None] | None = None

    async def find(self, kid: str | None, algorithm: str) -> Key:
        """The key of a token. A known key is returned without waiting; an unknown one triggers a fetch.

        Raises:
            Unauthorized: the key set has no such key, or a token without a key id could have several.
            Unavailable: no key set could be loaded yet.
        """
        if self._refresher is None:
            self._refresher = asyncio.create_task(self._refresh())
        key = self._known(kid, algorithm)
        if key is None and (kid is not None or not self._keys):
            try:
                async with asyncio.timeout(self._timeout):
                    key = await self._fetched(kid, algorithm)
            except TimeoutError:
                pass
        if key is not None:
            return key
        if not self._keys:
            raise Unavailable("the keys of the token issuer can't be loaded", math.ceil(self._refetch_after))
        if kid is None:
            raise Unauthorized("the token names no key, and its issuer does not have exactly one for it")
        raise Unauthorized("the token is signed with a key that its issuer does not publish")

    async def close(self) -> None:
        """Cancel the background tasks."""
        tasks = [task for task in (self._refresher, self._fetching) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _known(self, kid: str | None, algorithm: str) -> Key | None:
        fitting = [key for key in self._keys if (kid is None or key.kid == kid) and _fits(key, algorithm)]
        if not fitting or (kid is None and len(fitting) > 1):
            return None
        return fitting[0]

    async def _fetched(self, kid: str | None, algorithm: str) -> Key | None:
        """Wait for a fetch that starts after the call, unless one in progress already has the key."""
        while True:
            joined = self._in_progress()
            task = joined or self._start_refetch()
            if task is None:
                return None
            # Unlike `await task`, `wait` does not cancel the task, which others wait for too.
            await asyncio.wait([task])
            if (key := self._known(kid, algorithm)) is not None or joined is None:
                return key

    async def _refresh(self) -> None:
        while True:
            await asyncio.wait([self._in_progress() or self._start()])
            await asyncio.sleep(
                self._refresh_after if self._is_fresh else min(self._refetch_after, self._refresh_after)
            )

    def _in_progress(self) -> asyncio.Task[None] | None:
        return None if self._fetching is None or self._fetching.done() else self._fetching

    def _start_refetch(self) -> asyncio.Task[None] | None:
        """Start a fetch for an unknown key; None if the last one was too recent."""
        now = self._clock()
        if now < self._next_refetch:
            return None
        self._next_refetch = now + self._refetch_after
        return self._start()

    def _start(self) -> asyncio.Task[None]:
        self._fetching = asyncio.create_task(self._load())
        return self._fetching

    async def _load(self) -> None:
        """Fetch the key set. If that fails, the last good one stays."""
        try:
            async with asyncio.timeout(self._timeout):
                body = await self._fetch(self._url)
            keys = parse_key_set(body, self._algorithms)
        except Exception as error:  # the issuer's response may be anything, and must not stop the refreshes
            self._is_fresh = False
            # Errors of libraries may contain the URL, and with it a password.
            reason = str(error) if isinstance(error, RelayError) else type(error).__name__
            log.warning("key_set_fetch_failed", error=reason)
            return
        if not self._keys:
            # The limit on fetches for unknown keys starts with the first key set.
            self._next_refetch = -math.inf
        self._keys, self._is_fresh = keys, True


def guarded_fetch(policy: EgressPolicy, proxies: ProxySettings) -> Fetch:
    """A fetch that the relay's policy for addresses guards, bounded in time and size, and without redirects."""

    async def fetch(url: str) -> bytes:
        check = policy.begin_check()
        # A session for each fetch: they are minutes apart, and no connection stays open between them.
        transport = HttpTransport(policy, FETCH_TIMEOUT, proxies)
        transport.open()
        try:
            check.set_url(url)
            response = await transport.send(Request(url=url, body=b"", headers=ACCEPT, method="GET"), check)
        except TimeoutError:
            raise Unavailable("the issuer did not respond in time") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise Unavailable(f"the issuer can't be reached: {check.blocked or type(error).__name__}") from None
        finally:
            await transport.close()
        if response.status != 200:
            raise Unavailable(f"the issuer responded with status {response.status}")
        if len(response.body) >= MAX_RESPONSE:
            raise Unavailable(f"the key set has {MAX_RESPONSE} bytes or more")
        return response.body

    return fetch


def parse_key_set(body: bytes, algorithms: Sequence[str]) -> Sequence[Key]:
    """The keys of a JSON Web Key Set that verify signatures of one of the algorithms. Other keys are ignored.

    Raises:
        Unavailable: it is no key set, or has no such key.
    """
    try:
        document = msgspec.json.decode(body, type=_Document)
    except (ValueError, RecursionError):
        raise Unavailable("the issuer's response is not a JSON Web Key Set") from None
    keys = [key for entry in document.keys if (key := _parse_key(entry)) is not None]
    usable = [key for key in keys if any(_fits(key, algorithm) for algorithm in algorithms)]
    if not usable:
        raise Unavailable(f"the key set has no key for {', '.join(algorithms)}")
    return usable


def _parse_key(entry: Any) -> Key | None:
    """Parse a JSON Web Key; None if it is malformed, weak or of an unknown type."""
    try:
        with warnings.catch_warnings():
            # The library warns about RSA keys of less than 2048 bits, which must not be used.
            # https://www.rfc-editor.org/rfc/rfc7518#section-3.3
            warnings.simplefilter("error", SecurityWarning)
            return JWKRegistry.import_key(entry)
    except Exception:  # the library raises errors of many types for malformed keys
        return None


def _fits(key: Key, algorithm: str) -> bool:
    """Whether a key verifies signatures of an algorithm, by its type, curve, `use`, `alg` and `key_ops`."""
    try:
        JWSRegistry.algorithms[algorithm].check_key(key)
        key.check_key_op("verify")
    except JoseError:
        return False
    return True
