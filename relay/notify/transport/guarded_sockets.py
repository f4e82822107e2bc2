"""The egress policy for libraries that open sockets themselves, enforced where a socket connects or sends.

The checks of `socket.socket` are installed once for the process. They apply only to threads that `guarded` has
marked, to threads that those start, and to what those submit to thread pools. Whatever spelling of an address a
library accepts, the address that reaches the socket decides.
"""

import ipaddress
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from typing import Any, Final

from relay.notify.transport.egress_policy import BlockedAddress, EgressPolicy

_INTERNET: Final = (socket.AF_INET, socket.AF_INET6)


class _Guard:
    """The policy of some threads, the addresses of exempt hosts, and the first address that was blocked."""

    def __init__(self, policy: EgressPolicy) -> None:
        self.policy = policy
        self.exempt: set[str] = set()
        self.blocked: str | None = None

    def allowed(self, opened: socket.socket, address: Any) -> Any:
        """The address with its name resolved, if the policy allows it.

        Raises:
            BlockedAddress: it does not.
        """
        if opened.family not in _INTERNET or not isinstance(address, tuple):
            raise self._block(f"{address!r}")
        host = _text(address[0])
        if not _is_address(host):
            # The socket would resolve the name, or a spelling such as 127.1, itself.
            host = str(socket.getaddrinfo(host, address[1], opened.family)[0][4][0])
            address = (host, *address[1:])
        if host not in self.exempt and not self.policy.allows(ipaddress.ip_address(host.partition("%")[0])):
            raise self._block(host)
        return address

    def _block(self, host: str) -> BlockedAddress:
        reason = f"{host} is not a public address; list it in RELAY_ALLOWED_TARGETS to allow it"
        self.blocked = self.blocked or reason
        return BlockedAddress(reason)


class _Current(threading.local):
    """The guard of a thread, if it has one."""

    guard: _Guard | None = None


_current: Final = _Current()


@contextmanager
def guarded(policy: EgressPolicy) -> Iterator[None]:
    """Apply a policy to all sockets of this thread in a block, and of what it starts in other threads.

    Raises:
        BlockedAddress: at the end of a block that returns or raises after an address was blocked.
    """
    _install()
    guard = _current.guard = _Guard(policy)
    try:
        yield
    finally:
        _current.guard = None
        if guard.blocked is not None:
            raise BlockedAddress(guard.blocked)


@cache
def _install() -> None:
    """Wrap the methods of sockets that send to an address, the resolver, and what starts work in threads."""
    for name in ("connect", "connect_ex", "sendto"):
        _wrap(name, getattr(socket.socket, name))
    resolve = socket.getaddrinfo
    start, submit = threading.Thread.start, ThreadPoolExecutor.submit

    def getaddrinfo(host: Any, *arguments: Any, **named: Any) -> Any:
        found = resolve(host, *arguments, **named)
        guard = _current.guard
        if guard is not None and guard.policy.exempts_host(_text(host).rstrip(".").lower()):
            guard.exempt.update(str(address[4][0]) for address in found)
        return found

    def start_guarded(thread: threading.Thread) -> None:
        if _current.guard is not None:
            thread.run = _carrying(_current.guard, thread.run)  # type: ignore[method-assign]  # of one thread
        start(thread)

    def submit_guarded(executor: Any, call: Any, /, *arguments: Any, **named: Any) -> Any:
        carrying = call if _current.guard is None else _carrying(_current.guard, call)
        return submit(executor, carrying, *arguments, **named)

    socket.getaddrinfo = getaddrinfo
    # Replaced for the process: the library offers no other way to reach the threads that it starts.
    threading.Thread.start = start_guarded  # type: ignore[assignment,method-assign]  # see above
    # Apprise sends from threads that it shares between calls.
    ThreadPoolExecutor.submit = submit_guarded  # type: ignore[method-assign]  # see above


def _carrying(guard: _Guard, call: Callable[..., Any]) -> Callable[..., Any]:
    """The call with a guard, in whatever thread it runs."""

    def guarded_call(*arguments: Any, **named: Any) -> Any:
        before, _current.guard = _current.guard, guard
        try:
            return call(*arguments, **named)
        finally:
            _current.guard = before

    return guarded_call


def _wrap(name: str, method: Any) -> None:
    def checked(opened: socket.socket, *arguments: Any) -> Any:
        # sendto takes the address last, after data and flags.
        if _current.guard is not None and arguments:
            try:
                arguments = (*arguments[:-1], _current.guard.allowed(opened, arguments[-1]))
            except BlockedAddress:
                opened.close()  # some libraries leave it open
                raise
        return method(opened, *arguments)

    setattr(socket.socket, name, checked)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


def _text(host: Any) -> str:
    return host.decode("ascii", "replace") if isinstance(host, bytes) else str(host or "")
