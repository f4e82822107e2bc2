"""Messages with so many alerts that to render them would stop the event loop."""

import asyncio
from collections.abc import Callable
from typing import Final, TypeVar

from relay.domain.notifications import Message

MANY_ALERTS: Final = 500
"""Alerts that are rendered in some tens of milliseconds."""

Result = TypeVar("Result")


async def on_thread_if_large(render: Callable[[Message], Result], message: Message) -> Result:
    """Render a message, in a thread if it has many alerts."""
    if len(message.alerts) <= MANY_ALERTS:
        return render(message)
    return await asyncio.to_thread(render, message)
