"""Render the pictures in this directory from the requests that the notifiers build.

`make pictures` runs it. It requires Chromium (named by CHROMIUM, or `chromium` on the path) and the fonts Inter,
JetBrains Mono and Noto Color Emoji.
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
from incident import firing, nearly_resolved, storm
from page import take

from relay.domain.notifications import Message
from relay.notify.registry import notifier_for
from relay.notify.requests import AnyRequest

FOLDER = Path(__file__).parent


def pages() -> dict[str, tuple[int, str]]:
    """The width and the page of each picture, by name."""
    message_refs = ("C0123456789 1764007632.000100",)
    return {
        "slack": (760, chats.slack(body_of("slack", firing()))),
        "slack-edited": (760, chats.slack(body_of("slack", nearly_resolved(message_refs)))),
        "slack-digest": (760, chats.slack(body_of("slack", storm()))),
        "discord": (640, chats.discord(body_of("discord", firing()))),
        "teams": (760, chats.teams(body_of("teams", firing()))),
        "telegram": (520, chats.telegram(body_of("telegram", firing()))),
        "email": (720, others.email(*requests("email", firing()))),
        "sms": (380, others.sms(*requests("sms", firing()))),
        "pagerduty": (720, others.pagerduty([json.loads(one.body) for one in requests("pagerduty", firing())])),
        "webhook": (720, others.webhook(*requests("webhook", firing()))),
        "apprise": (560, others.apprise(*requests("apprise", firing()))),
    }


def body_of(channel_type: str, message: Message) -> Any:
    """The body of a message that takes one request."""
    [request] = requests(channel_type, message)
    return json.loads(request.body)


def requests(channel_type: str, message: Message) -> Sequence[Any]:
    """The requests for a message to a channel of a type."""
    destination = channel(channel_type)
    built: Sequence[AnyRequest] = notifier_for(destination).requests(destination, message)
    return built


def main() -> None:
    """Render all pictures, or those named as arguments."""
    chromium = os.environ.get("CHROMIUM", "chromium")
    for name, (width, page) in pages().items():
        if name in sys.argv[1:] or len(sys.argv) == 1:
            take(chromium, page, width, FOLDER / f"{name}.png")


if __name__ == "__main__":
    main()
