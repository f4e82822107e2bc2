"""What does each platform's message look like? Pictures beside this file, of what the notifiers really send.

`make pictures` runs it; it wants Chromium, which CHROMIUM names, and the fonts Inter and Noto Color Emoji.
"""

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import chats
import others
from channels import channel
from incident import firing, nearly_over, storm
from page import take

from relay.domain.notifications import Message
from relay.notify.registry import notifier_for
from relay.notify.requests import AnyRequest

FOLDER = Path(__file__).parent


def pages() -> dict[str, tuple[int, str]]:
    """The width and the page of each picture, by its name."""
    message_refs = ("C0123456789 1764007632.000100",)
    return {
        "slack": (760, chats.slack(told("slack", firing()))),
        "slack-edited": (760, chats.slack(told("slack", nearly_over(message_refs)))),
        "slack-digest": (760, chats.slack(told("slack", storm()))),
        "discord": (640, chats.discord(told("discord", firing()))),
        "teams": (760, chats.teams(told("teams", firing()))),
        "telegram": (520, chats.telegram(told("telegram", firing()))),
        "email": (720, others.email(*requests("email", firing()))),
        "sms": (380, others.sms(*requests("sms", firing()))),
        "pagerduty": (720, others.pagerduty([json.loads(one.body) for one in requests("pagerduty", firing())])),
        "webhook": (720, others.webhook(*requests("webhook", firing()))),
        "apprise": (560, others.apprise(*requests("apprise", firing()))),
    }


def told(channel_type: str, message: Message) -> Any:
    """The body of the one request that tells a message."""
    [request] = requests(channel_type, message)
    return json.loads(request.body)


def requests(channel_type: str, message: Message) -> Sequence[Any]:
    """What a channel of a type would be sent."""
    receiver = channel(channel_type)
    made: Sequence[AnyRequest] = notifier_for(receiver).requests(receiver, message)
    return made


def main() -> None:
    """Take all pictures, or those that are named."""
    chromium = os.environ.get("CHROMIUM", "chromium")
    for name, (width, page) in pages().items():
        if name in sys.argv[1:] or len(sys.argv) == 1:
            take(chromium, page, width, FOLDER / f"{name}.png")


if __name__ == "__main__":
    main()
