"""The last step of a key rotation: secrets sealed with old keys are sealed with the first key."""

from sqlalchemy import bindparam, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from relay.store.configuration.channels import lock_configuration
from relay.store.configuration.seal import Seal
from relay.store.tables import channels


async def reseal(connection: AsyncConnection, seal: Seal) -> int:
    """Seal all secrets with the first key; return the number of channels changed.

    Raises:
        SealBroken: the secrets of a channel can't be decrypted; names the channel.
    """
    await lock_configuration(connection)
    rows = await connection.execute(select(channels.c.id, channels.c.sealed).order_by(channels.c.id))
    resealed = [
        {"channel": row.id, "resealed": seal.seal(seal.open(row.sealed, row.id), row.id)}
        for row in rows
        if not seal.uses_first_key(row.sealed)
    ]
    if resealed:
        statement = (
            update(channels).where(channels.c.id == bindparam("channel")).values(sealed=bindparam("resealed"))
        )
        await connection.execute(statement, resealed)
    return len(resealed)
