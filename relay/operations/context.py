"""What the operations work with."""

from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

from relay.domain.errors import InvalidInput
from relay.notify.sender import Sender
from relay.notify.transport.egress_policy import EgressPolicy
from relay.store.configuration.seal import Seal
from relay.store.postgres.database import Database


class OperationContext(msgspec.Struct, frozen=True):
    """The database, the sender and the settings that operations need; one for a process.

    `history_url` is the URL of the history of a delivery, without the delivery's id at its end.
    """

    database: Database
    seal: Seal
    egress_policy: EgressPolicy
    sender: Sender
    tenant_label: str
    history_url: str


@contextmanager
def errors_within(field: str) -> Iterator[None]:
    """Prefix the field of an InvalidInput with the field of the request that holds it."""
    try:
        yield
    except InvalidInput as error:
        raise InvalidInput(f"{field}.{error.field}" if error.field else field, error.message) from None
