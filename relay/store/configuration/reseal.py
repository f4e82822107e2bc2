"""How does a rotation of keys come to its end: what the old ones sealed, sealed anew?"""

from sqlalchemy import bindparam, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from relay.store.configuration.channels import lock_configuration
from relay.store.configuration.seal import Seal
from relay.store.tables import channels


async def reseal(connection: AsyncConnection, seal: Seal) -> int:
    """Seal with the first key what another one sealed; returns of how many channels.

    Raises:
        SealBroken: the secrets of a channel can't be opened; names it.
    """
    await lock_configuration(connection)
    rows = await connection.execute(select(channels.c.id, channels.c.sealed).order_by(channels.c.id))
    replacement = [
        {"channel": row.id, "anew": seal.seal(seal.open(row.sealed, row.id), row.id)}
        for row in rows
        if not seal.is_of_first_key(row.sealed)
    ]
    if replacement:
        statement = update(channels).where(channels.c.id == bindparam("channel")).values(sealed=bindparam("anew"))
        await connection.execute(statement, replacement)
    return len(replacement)
