"""What one sender may do to the others: requests that are large, slow, endless, or expensive to understand."""

import asyncio
import contextlib
import io
import itertools
import json
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Final

import aiohttp

from relay.app import BASE_PATH
from tests.fixtures.relays import ADMIN_KEY

MEGABYTE: Final = 1024 * 1024
BODY: Final = 10 * MEGABYTE - 4096
"""Bytes of the largest bodies; a little less than the relay accepts."""
STARTS_AT: Final = '"startsAt":"2026-11-23T15:33:27Z"'

CHANNELS: Final = 8
"""Channels that are created at the same time."""

Attack = Callable[[str], Awaitable[set[int]]]
"""Attacks the relay at a URL, and returns the statuses that it responded with."""


def filled(before: str, items: Iterator[str], after: str) -> bytes:
    """JSON of BODY bytes, with as many items as fit."""
    size = BODY - len(before) - len(after)
    taken = []
    for item in items:
        size -= len(item) + 1
        if size < 0:
            break
        taken.append(item)
    return (before + ",".join(taken) + after).encode()


def alerts(status: str = "firing", labels: str = '"alertname":"Small","n":"%d"') -> bytes:
    """As many small alerts as fit, each with other labels."""
    template = f'{{"status":"{status}",{STARTS_AT},"labels":{{{labels}}}}}'
    return filled(
        '{"groupKey":"many","alerts":[',
        (template.replace("%d", str(number)) for number in itertools.count()),
        "]}",
    )


def one_alert(labels: str) -> bytes:
    """One alert with these labels."""
    return f'{{"alerts":[{{"status":"firing",{STARTS_AT},"labels":{{{labels}}}}}]}}'.encode()


def one_value(text: str, before: str = "") -> bytes:
    """One alert with one label, whose value fills the body with a text."""
    return one_alert(f'"a":"{before}{text * ((BODY - 200) // len(text))}"')


def posting(*bodies: Callable[[], bytes], copies: int = 1, query: str = "") -> Attack:
    """Post bodies one after the other, each `copies` times at once."""

    async def attack(url: str) -> set[int]:
        statuses: set[int] = set()
        async with aiohttp.ClientSession() as session:

            async def post(body: bytes) -> int:
                try:
                    async with session.post(f"{url}{BASE_PATH}/webhook{query}", data=io.BytesIO(body)) as response:
                        return response.status
                except aiohttp.ClientOSError:  # refused, and reset before the response could be read
                    return 0

            for make in bodies:
                body = await asyncio.to_thread(make)
                statuses.update(await asyncio.gather(*(post(body) for _ in range(copies))))
        return statuses

    return attack


async def endless_header(url: str) -> set[int]:
    """Send a header of 200 MB."""
    reader, writer = await connect(url)
    writer.write(b"POST / HTTP/1.1\r\nHost: relay\r\nX: ")
    with contextlib.suppress(OSError):
        for _ in range(200):
            writer.write(b"a" * MEGABYTE)
            await writer.drain()
    return {await status_of(reader, writer)}


async def half_open(url: str) -> set[int]:
    """Begin 1,500 requests, more than the relay holds, and send nothing more until they are refused."""
    opened = [await connect(url) for _ in range(1500)]
    for _, writer in opened:
        writer.write(b"POST / HTTP/1.1\r\nHost: relay\r\nX-Slow: ")
    return set(await asyncio.gather(*(status_of(reader, writer) for reader, writer in opened)))


async def one_byte_at_a_time(url: str) -> set[int]:
    """Send 100 bodies in chunks of one byte."""

    async def send() -> int:
        reader, writer = await connect(url)
        writer.write(
            f"POST {BASE_PATH}/webhook HTTP/1.1\r\nHost: r\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
        )
        with contextlib.suppress(OSError):
            for _ in range(200):
                writer.write(b"1\r\nx\r\n" * 100)
                await writer.drain()
                await asyncio.sleep(0.01)
            writer.write(b"0\r\n\r\n")
        return await status_of(reader, writer)

    return set(await asyncio.gather(*(send() for _ in range(100))))


async def add_patterns(url: str) -> None:
    """Add channels with many and expensive regular expressions."""
    expensive = [[f'l{number}!~".*a.{{{number + 60}}}c"'] for number in range(20)]
    harmless = [[f'alertname!~"Rare{number}.*"', f'instance=~"host-{number}-.*|.*"'] for number in range(2_000)]
    assert not await add_channels(url, [*expensive, *harmless])


async def expensive_alerts(url: str) -> set[int]:
    """Send what the channels of `add_patterns` match slowly."""
    large = json.dumps("a" * 64 * 1024)
    labels = ",".join(f'"l{number}":{large}' for number in range(20))
    group = ",".join(
        f'{{"status":"firing",{STARTS_AT},"labels":{{"alertname":"A{number}","instance":"host-{number}-1"}}}}'
        for number in range(1_000)
    )
    return await posting(lambda: one_alert(labels), f'{{"alerts":[{group}]}}'.encode)(url)


async def add_channels(url: str, matchers: list[list[str]]) -> set[int]:
    """Create channels with these matchers; return the statuses of those that were refused."""
    refused: set[int] = set()
    waiting = iter(enumerate(matchers))

    async def create(session: aiohttp.ClientSession) -> None:
        for number, entries in waiting:
            body: dict[str, Any] = {
                "name": f"channel {number}",
                "channel_type": "webhook",
                "webhook_url": "http://127.0.0.1:9/",
                "severities": ["none"],
                "matchers": entries,
            }
            async with session.post(f"{url}{BASE_PATH}/channels", json=body) as response:
                if response.status != 201:
                    refused.add(response.status)

    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {ADMIN_KEY}"}) as session:
        await asyncio.gather(*(create(session) for _ in range(CHANNELS)))
    return refused


async def connect(url: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Open a connection to the relay."""
    host, _, port = url.removeprefix("http://").rpartition(":")
    return await asyncio.open_connection(host, int(port))


async def status_of(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> int:
    """The status of the response; 0 if the connection was reset without one."""
    try:
        async with asyncio.timeout(60):
            line = await reader.readline()
        return int(line.split()[1]) if line else 0
    except OSError:
        return 0
    finally:
        writer.close()


ATTACKS: Final[dict[str, tuple[Attack, set[int]]]] = {
    "a header without end": (endless_header, {0, 431}),
    "requests without end": (half_open, {0, 408, 503}),
    "bodies byte by byte": (one_byte_at_a_time, {0, 400}),
    "50 bodies of 10 MB at once": (posting(lambda: one_value("x"), copies=50), {0, 202, 503}),
    "objects in a field nobody reads": (
        posting(lambda: filled('{"x":"\\u0000","y":[', itertools.repeat("{}"), "]}")),
        {400},
    ),
    "alerts that are empty": (posting(lambda: filled('{"alerts":[', itertools.repeat("{}"), "]}")), {400}),
    "as many alerts as fit": (posting(alerts), {202}),
    "the same alerts again, and resolved": (posting(alerts, lambda: alerts("resolved")), {202}),
    "as many alerts with a source": (posting(alerts, alerts, query="?source=eu"), {202}),
    "as many alerts of one series": (posting(lambda: alerts(labels='"n":"1"')), {202}),
    "as many odd alerts": (posting(lambda: alerts(labels='"alertname":"\\u0000","n":"%d"')), {202}),
    "as many labels as fit": (
        posting(
            lambda: filled(
                f'{{"alerts":[{{"status":"firing",{STARTS_AT},"labels":{{',
                (f'"n{number}":""' for number in itertools.count()),
                "}}]}",
            )
        ),
        {202},
    ),
    "as many group labels as fit": (
        posting(
            lambda: filled(
                f'{{"alerts":[{{"status":"firing",{STARTS_AT},"labels":{{}}}}],"groupLabels":{{',
                (f'"n{number}":""' for number in itertools.count()),
                "}}",
            )
        ),
        {202},
    ),
    "escapes": (posting(lambda: one_value("\\u00e4")), {202}),
    "backslashes and a NUL": (posting(lambda: one_value("\\\\", before="\\u0000")), {202}),
    "text that is not UTF-8": (posting(lambda: one_value("@").replace(b"@", b"\xff")), {202}),
    "deep nesting": (posting(lambda: b"[" * BODY, lambda: b'{"a":' * (BODY // 5)), {400}),
    "expensive patterns": (expensive_alerts, {202}),
}
"""By name: the attack, and the statuses that are right."""
PREPARATIONS: Final[dict[str, Callable[[str], Awaitable[None]]]] = {"expensive patterns": add_patterns}
"""By name of the attack: what the relay has to have before."""
