"""The texts of messages, and the number of alerts that they show or count."""

import re

from relay.domain.channel_types import PagerDutyChannel, SmsChannel, WebhookChannel
from relay.domain.notifications import Message
from relay.notify.registry import NOTIFIERS
from tests.notify.channel_types import ChannelType
from tests.notify.factories import channel
from tests.notify.strict.readers import READERS

ODD_TEXTS = {
    "ampersands": "&" * 3000,
    "backslashes": "\\" * 3000,
    "brackets": "<" * 3000,
    "quotes": '"' * 3000,
    "backticks": "`" * 3000,
    "emoji": "🔥" * 3000,
    "combined emoji": "👩‍👩‍👧‍👦" * 800,
    "control characters": "\x01\x1f\x7f" * 1000,
    "lines": "line\n" * 600,
    "right to left": "تنبيه: القرص ممتلئ\u202e " * 100,
    "chinese": "磁盘已满" * 700,
    "html": "<script>alert(1)</script><b>bold</b>&nbsp;",
    "markdown": "**bold** _it_ `code` [link](http://evil.example) # head > quote ||spoiler|| ~~no~~",
    "mentions": "<!channel> <!here> <@U123> <#C1> @everyone @here <@&99> <at>Bob</at>",
    "a javascript link": "[x](javascript:alert(1)) <javascript:alert(1)|x>",
    "spaces": "   ",
}
COUNTED = re.compile(r"… and (\d+) more alerts? that did not fit here")


def message_text(channel_type: ChannelType, message: Message) -> str:
    """The text of all requests for a message, accepted by the strict reader."""
    requests = NOTIFIERS[channel_type].requests(channel(channel_type), message)
    return "\n".join(READERS[channel_type](request.body) for request in requests)


def count_alerts(channel_type: ChannelType, text: str) -> int:
    """The number of alerts that the text shows or counts."""
    if channel_type is WebhookChannel:
        return text.count('"fingerprint"')
    if channel_type is SmsChannel or text.startswith("EVENT [DIGEST of "):
        start = re.split(r" \(|: |\n", text)[0]
        return sum(map(int, re.findall(r"(?:FIRING|RESOLVED):(\d+)", start)))
    if channel_type is PagerDutyChannel:
        return len(re.findall(r"^EVENT ", text, re.MULTILINE))
    shown = len(re.findall(r"^(?:🔥|✅) ", text, re.MULTILINE))
    return shown + sum(map(int, COUNTED.findall(text)))
