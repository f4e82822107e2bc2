"""Characters that change the direction of text end where their field ends."""

import pytest

from relay.domain.channel_types import PagerDutyChannel, WebhookChannel
from relay.notify.text.bidi import confined
from relay.notify.text.plain_text import cut, fit
from tests.notify.channel_types import ALL, ChannelType
from tests.notify.factories import alert, digest, notification
from tests.notify.message_texts import message_text
from tests.notify.template_samples import request_texts, with_template

LRE, RLE, PDF, LRO, RLO = "\u202a", "\u202b", "\u202c", "\u202d", "\u202e"
LRI, RLI, FSI, PDI = "\u2066", "\u2067", "\u2068", "\u2069"
OPENING = (LRE, RLE, LRO, RLO, LRI, RLI, FSI)
TEXTS = tuple(one for one in ALL if one not in (WebhookChannel, PagerDutyChannel))
"""The types that send text only: the others send labels and annotations as data in addition."""


@pytest.mark.parametrize("opening", OPENING)
@pytest.mark.parametrize("text", ["{}abc", "abc{}", "a{}b\nc", "a{}b\r\nc" + PDF + PDI])
def test_an_unclosed_direction_is_removed(opening: str, text: str) -> None:
    assert confined(text.format(opening)) == text.format("").rstrip(PDF + PDI)


@pytest.mark.parametrize(
    "text",
    [
        "plain",
        "تنبيه: القرص ممتلئ",
        f"a{RLE}b{PDF}c",
        f"a{RLI}b{PDI}c",
        f"{LRO}a{RLI}b{PDI}c{PDF}",
        f"{RLI}a{RLO}b{PDI}c",
        f"{FSI}a{PDI}\n{RLO}b{PDF}",
        "a\u200eb\u200fc\u061cd",
    ],
)
def test_a_closed_direction_is_kept(text: str) -> None:
    assert confined(text) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"a{PDF}b{PDI}", "ab"),
        (f"{RLO}{RLO}a{PDF}", f"{RLO}a{PDF}"),
        (f"{RLI}a{PDF}b{PDI}", f"{RLI}ab{PDI}"),
        (f"{RLO}a{PDI}b", "ab"),
    ],
)
def test_what_closes_nothing_is_removed(text: str, expected: str) -> None:
    assert confined(text) == expected


@pytest.mark.parametrize("shorten", [cut, fit])
def test_a_cut_does_not_leave_a_direction_open(shorten: object) -> None:
    assert callable(shorten)
    assert shorten(f"{RLO}abcdef{PDF}", 5) == "abc…"
    assert shorten(f"{RLO}ab{PDF}cdef", 6) == f"{RLO}ab{PDF}c…"


@pytest.mark.parametrize("channel_type", TEXTS)
def test_no_message_has_an_open_direction(channel_type: ChannelType) -> None:
    texts = [f"evil{opening}gnp.exe" for opening in OPENING]
    alerts = [
        alert(
            text, severity=text, annotations={"summary": text, "description": text, "message": f"b{text}"}, x=text
        )
        for text in texts
    ]
    others = [alert(annotations={text: text}) for text in texts]
    shown = [message_text(channel_type, notification(*some)) for some in (alerts, alerts[:1], others)]
    assert "evilgnp.exe" in shown[0]
    assert "evilgnp.exe" in shown[1]
    assert not set(OPENING) & set("".join([*shown, message_text(channel_type, digest(alerts=tuple(alerts)))]))


@pytest.mark.parametrize("channel_type", TEXTS)
def test_no_template_leaves_a_direction_open(channel_type: ChannelType) -> None:
    message = notification(alert(f"evil{RLO}gnp.exe"))
    text = "{{ alert.alertname }} {{ alert.alertname | bold }} {{ alert.alertname | truncate(8) }}"
    templated = with_template(
        channel_type, message, title="{{ alerts[0].alertname }}", body="x\u202ey", alert=text
    )
    for shown in request_texts(channel_type, templated):
        assert not set(OPENING) & set(shown)
