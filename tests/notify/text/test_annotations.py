"""The annotations that messages show."""

import pytest

from relay.domain.channel_types import PagerDutyChannel, SmsChannel, WebhookChannel
from tests.notify.channel_types import ALL, ChannelType, each_type
from tests.notify.factories import RUNBOOK, alert, notification
from tests.notify.message_texts import message_text

PLAIN = tuple(channel_type for channel_type in ALL if channel_type not in (PagerDutyChannel, WebhookChannel))
"""The types that do not send all annotations as data in addition."""


def text_with(channel_type: ChannelType, **annotations: str) -> str:
    return message_text(channel_type, notification(alert(annotations=annotations))).replace("\\", "")


@each_type
@pytest.mark.parametrize("name", ["summary", "description", "message", "Description", "MESSAGE"])
def test_one_of_the_usual_annotations_is_shown(channel_type: ChannelType, name: str) -> None:
    assert "Errors at 4%" in text_with(channel_type, **{name: "Errors at 4%\n", "odd": "other"})


@pytest.mark.parametrize("channel_type", [one for one in PLAIN if one is not SmsChannel])
def test_the_usual_annotations_are_shown_together_and_without_others(channel_type: ChannelType) -> None:
    text = text_with(channel_type, message="Third", summary="First", description="Second", odd="Fourth")
    assert text.index("First") < text.index("Second") < text.index("Third")
    assert "Fourth" not in text


@pytest.mark.parametrize("channel_type", PLAIN)
def test_equal_annotations_are_shown_once(channel_type: ChannelType) -> None:
    text = text_with(channel_type, summary="The disk is full", description="The disk is full\n", message=" ")
    again = text_with(channel_type, description="The disk is full\n", message="The disk is full")
    assert (text.count("disk is full"), again.count("disk is full")) == (1, 1)


@pytest.mark.parametrize("channel_type", PLAIN)
def test_without_any_of_them_all_annotations_are_shown(channel_type: ChannelType) -> None:
    text = text_with(
        channel_type, name="Load", value="3.8\ne+06", message="  ", empty="", runbook_url=RUNBOOK, __id__="7"
    )
    for shown in ("name: Load", "value: 3.8 e+06", "__id__: 7"):
        assert shown in (text.replace("\n", " ") if channel_type is SmsChannel else text)
    assert "runbook_url" not in text
    assert "empty" not in text


@pytest.mark.parametrize("channel_type", [one for one in PLAIN if one is not SmsChannel])
def test_many_annotations_are_counted(channel_type: ChannelType) -> None:
    text = text_with(channel_type, **{f"name_{at:02}": "x" * 5000 for at in range(30)})
    assert text.count(": xxx") == 20
    assert "… and 10 more annotations" in text


@each_type
def test_an_alert_without_annotations_is_shown_by_its_name(channel_type: ChannelType) -> None:
    assert "DiskFull" in text_with(channel_type)
