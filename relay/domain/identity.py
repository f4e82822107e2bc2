"""The hashes that identify series, groups and senders. They are stored, so that no release may change them."""

import hashlib
import re
from collections.abc import Iterable
from typing import Final

import msgspec

from relay.domain.alerts import Alert, Group, Status
from relay.domain.errors import InvalidInput

IDENTITY_BYTES: Final = 16
STATE_BYTES: Final = 16
FORCED: Final = "@"
"""Precedes a forced tenant in a stored source; no name has it."""
RESERVED_SOURCE: Final = "relay"
"""The source of the relay's own alerts."""
NAME_FORMAT: Final = "must consist of 1 to 64 letters, digits, `.`, `_` and `-`"
_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")


class Sender(msgspec.Struct, frozen=True):
    """One Alertmanager process. Its reports arrive in order.

    `address` is the client's address, or the name that the webhook gives in its place: the Prometheus operator
    gives all replicas one externalURL.
    """

    external_url: str
    address: str


class Hashes(msgspec.Struct, frozen=True, gc=False):
    """What identifies the alerts of a webhook: the identity of each, in the order of the body.

    `state` and `alerts` are those of the functions `state_hash` and `alerts_hash`.
    """

    identities: tuple[bytes, ...]
    state: str
    alerts: str


def stored_source(source: str, tenant: str | None) -> str:
    """The source under which webhooks with a forced tenant are stored, `source@tenant`.

    So series, groups, senders and messages of each tenant are apart, also where they share a source.
    """
    return source if tenant is None else f"{source}{FORCED}{tenant}"


def named_source(stored: str) -> str:
    """The source that a webhook or its key has named, which filters compare with."""
    return stored.partition(FORCED)[0]


def tenant_of_source(stored: str) -> str | None:
    """The tenant that the webhooks of a stored source were forced to have."""
    _, forced, tenant = stored.partition(FORCED)
    return tenant if forced else None


def without_name(stored: str) -> str:
    """The stored source of webhooks of the same tenant that name no source."""
    return stored_source("", tenant_of_source(stored))


def require_source(field: str, name: str) -> None:
    """Reject a text that can't name a source or a sender.

    Raises:
        InvalidInput: states the format.
    """
    if not _NAME.fullmatch(name):
        raise InvalidInput(field, NAME_FORMAT)


def require_sending_source(field: str, name: str) -> None:
    """Reject a text that can't name the source of a webhook.

    Raises:
        InvalidInput: states the format, or that the name is reserved.
    """
    if name == RESERVED_SOURCE:
        raise InvalidInput(field, f"`{RESERVED_SOURCE}` is reserved for the relay's own alerts")
    require_source(field, name)


def hashes_of(group: Group) -> Hashes:
    """Hash the alerts of a webhook."""
    identities = tuple([series_identity(alert) for alert in group.alerts])
    states = [(identity, alert.status) for identity, alert in zip(identities, group.alerts, strict=True)]
    return Hashes(identities, state_hash(states, group.truncated), alerts_hash(identities))


def series_identity(alert: Alert) -> bytes:
    """Hash the sender's fingerprint and all labels.

    Grafana strips `__…__` labels from the payload but not from its fingerprint, so that neither alone identifies
    a series. Migration 0008 computes the same hash in SQL.
    """
    labels = alert.labels
    text = alert.fingerprint + "".join([f"\0{name}\0{labels[name]}" for name in sorted(labels)])
    return hashlib.sha256(text.encode()).digest()[:IDENTITY_BYTES]


def group_hash(group_key: str, source: str = "") -> int:
    """Hash a group key to a signed 64-bit number, so that a key of any length can be indexed.

    Groups of different sources are different groups, also with the same key.
    """
    return _number(group_key.encode() if not source else f"{source}\0{group_key}".encode())


def group_hashes(group_key: str, stored: str) -> frozenset[int]:
    """The hashes that a group of a stored source may have: its own, and that of one that has adopted alerts."""
    return frozenset((group_hash(group_key, stored), group_hash(group_key, without_name(stored))))


def key_source(source: str, group_key: str, hashed: int) -> str:
    """The source that enters the keys and threads of a group on platforms.

    It has no name for a group of a source that has adopted alerts, and keeps the hash that it had without one.
    """
    return source if hashed == group_hash(group_key, source) else without_name(source)


def sender_hash(sender: Sender) -> int:
    """Hash a sender to a signed 64-bit number, the same for each source that it may name."""
    return _number(f"{sender.address}\0{sender.external_url}".encode())


def url_hash(external_url: str) -> int:
    """Hash an externalURL to a signed 64-bit number."""
    return _number(external_url.encode())


def state_hash(alerts: Iterable[tuple[bytes, Status]], truncated: int) -> str:
    """Hash which alerts a group contains, and their statuses; not their startsAt, which differs between replicas.

    `alerts` has the identity of each alert's series.
    """
    states = b"".join([identity + status.encode() for identity, status in sorted(alerts)])
    return hashlib.blake2b(str(truncated).encode() + states, digest_size=STATE_BYTES).hexdigest()


def alerts_hash(identities: Iterable[bytes]) -> str:
    """Hash which alerts a group contains, whatever their statuses."""
    return hashlib.blake2b(b"".join(sorted(identities)), digest_size=STATE_BYTES).hexdigest()


def _number(data: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), signed=True)
