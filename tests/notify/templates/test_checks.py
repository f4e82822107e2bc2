"""Checks of large templates, which are compiled in another process."""

import asyncio
import time
from itertools import pairwise

import pytest

from relay.domain.errors import InvalidInput, Unavailable
from relay.notify.templates.checks import SMALL, check_body, check_parts

FILL = "{{ a }}" * SMALL


@pytest.mark.parametrize("fill", ["", FILL])
@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("a\n{% if %}", "line 2: Expected an expression"),
        ("{{ 'x' | nothing }}", "line 1: No filter named 'nothing'"),
        ("{% autoescape true %}{% endautoescape %}", "line 1: the tag autoescape is not supported"),
        ("{{ " + "9" * 5000 + " }}", "Exceeds the limit"),
        ("{% if a %}" * 300 + "{% endif %}" * 300, "is nested too deeply"),
    ],
)
def test_a_template_that_cannot_be_compiled_is_rejected_whatever_its_size(
    source: str, message: str, fill: str
) -> None:
    with pytest.raises(InvalidInput, match=message) as caught:
        check_body("custom_payload_template", source + fill)
    assert caught.value.field == "custom_payload_template"
    with pytest.raises(InvalidInput, match=message) as caught:
        check_parts({"title": "x", "body": source, "alert": fill})
    assert caught.value.field == "body"


def test_a_large_template_is_accepted() -> None:
    check_body("field", FILL + "{{ x | regex_replace('a', 'b') | default('y') | tojson }}")
    check_parts({"title": FILL, "alert": "{{ alert.starts_at | tz('Europe/Vienna') | bold }}"})


def test_the_relay_is_unavailable_if_the_process_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", "/bin/false")
    with pytest.raises(Unavailable, match="the process that checks templates failed"):
        check_body("field", FILL)


async def test_a_template_of_64_kib_does_not_stop_the_event_loop() -> None:
    """Compiled in this process, it stops the loop for a large part of the time that it takes."""
    ticks = [time.perf_counter()]
    checking = asyncio.create_task(asyncio.to_thread(check_body, "field", "{{a}}" * 13_000))
    while not checking.done():
        await asyncio.sleep(0.001)
        ticks.append(time.perf_counter())
    await checking
    longest = max(after - before for before, after in pairwise(ticks))
    assert longest < (ticks[-1] - ticks[0]) / 4
