"""A webhook's body, decoded: its group with bounded texts, and the hashes of the whole."""

from datetime import datetime

import msgspec

from relay.domain.alertmanager import decode_with_bounds
from relay.domain.alerts import Group
from relay.domain.bounds import bounded
from relay.domain.identity import Hashes, hashes_of


class Decoded(msgspec.Struct, frozen=True, gc=False):
    """A group as it is stored and shown. `hashes` are those of what was received."""

    group: Group
    hashes: Hashes


def decode(body: bytes, now: datetime) -> Decoded:
    """Decode a body that was received at a time; see `decode_webhook`.

    Raises:
        InvalidWebhook: the body is no webhook; names the field.
    """
    group, within = decode_with_bounds(body, now)
    return Decoded(group if within else bounded(group), hashes_of(group))
