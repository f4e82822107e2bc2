"""Settings of channels whose messages are large, edited, or mention people."""

from enum import StrEnum
from typing import Annotated, Final

import msgspec

MAX_MESSAGES: Final = 5
"""The default of a channel's `max_messages`."""
MaxMessages = Annotated[int, msgspec.Meta(ge=1, le=20)]
"""The number of messages for one group. Alerts that do not fit are counted, with a link to the history."""
MENTION_SEVERITIES: Final = ("critical",)


class Change(StrEnum):
    """A change of an edited message that is also posted if a channel's `notify_on` has it: an edit makes no sound.

    `firing`: an alert joins the group. `repeat`: Alertmanager repeats critical alerts. `resolved`: none is left.
    """

    FIRING = "firing"
    REPEAT = "repeat"
    RESOLVED = "resolved"


NOTIFY_ON: Final = (Change.FIRING, Change.REPEAT)
