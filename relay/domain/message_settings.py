"""Settings of channels whose messages are large, edited, or mention people."""

from typing import Annotated, Final, Literal

import msgspec

MAX_MESSAGES: Final = 5
"""The default of a channel's `max_messages`."""
MaxMessages = Annotated[int, msgspec.Meta(ge=1, le=20)]
"""The number of messages for one group. Alerts that do not fit are counted, with a link to the history."""
NotifyOn = tuple[Literal["firing", "repeat", "resolved"], ...]
"""The changes of an edited message that are also posted, because an edit notifies nobody.

`firing`: an alert joins the group. `repeat`: Alertmanager repeats critical alerts. `resolved`: all are resolved.
"""
NOTIFY_ON: Final[NotifyOn] = ("firing", "repeat")
MENTION_SEVERITIES: Final = ("critical",)
