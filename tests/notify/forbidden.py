"""Hosts that lead to addresses that are not public, in the spellings that parsers and resolvers accept."""

import ipaddress
from collections.abc import Iterator
from typing import Final

IPV4: Final = (
    *("127.0.0.1", "127.255.255.254", "10.0.0.1", "10.255.255.255", "172.16.0.1", "172.31.255.254", "192.168.0.1"),
    *("169.254.169.254", "169.254.170.2", "168.63.129.16", "192.0.0.192", "100.64.0.1", "100.100.100.200"),
    *("0.0.0.0", "0.1.2.3", "192.0.2.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "240.0.0.1"),
    *("255.255.255.255", "192.88.99.1"),
)
IPV6: Final = (
    *(
        "::",
        "::1",
        "fe80::1",
        "febf::1",
        "fc00::1",
        "fd00:ec2::254",
        "fd20:ce::254",
        "fec0::1",
        "ff02::1",
        "ff0e::1",
    ),
    *("2001:db8::1", "3fff::1", "5f00::1", "100::1", "2001:10::1", "64:ff9b:1::1", "::7f00:1", "2001:2::1"),
)
NAMES: Final = ("localhost", "LOCALHOST", "localhost.", "LocalHost..")
DIGITS: Final = str.maketrans("0123456789", "\uff10\uff11\uff12\uff13\uff14\uff15\uff16\uff17\uff18\uff19")


def spellings_of(text: str) -> Iterator[str]:
    """An IPv4 address: dotted in several bases, as a number, in two and three parts, and inside IPv6 addresses."""
    address = ipaddress.IPv4Address(text)
    one, two, three, four = address.packed
    number = int(address)
    yield from (text, f"{text}.", text.translate(DIGITS))
    yield from (str(number), hex(number), f"0{number:o}", f"0x{number:08X}")
    yield f"0x{one:x}.0x{two:x}.0x{three:x}.0x{four:x}"
    yield f"0{one:o}.0{two:o}.0{three:o}.0{four:o}"
    yield from (f"{one}.{number & 0xFFFFFF}", f"{one}.{two}.{number & 0xFFFF}")
    high, low = number >> 16, number & 0xFFFF
    yield from (f"[::ffff:{text}]", f"[::ffff:{high:x}:{low:x}]", f"[0:0:0:0:0:FFFF:{high:04X}:{low:04X}]")
    yield from (f"[64:ff9b::{text}]", f"[64:ff9b::{high:x}:{low:x}]", f"[2002:{high:x}:{low:x}::1]")


def spellings() -> list[str]:
    """All spellings, each once."""
    found = [spelling for address in IPV4 for spelling in spellings_of(address)]
    for text in IPV6:
        exploded = ipaddress.IPv6Address(text).exploded
        found += [f"[{text}]", f"[{exploded}]", f"[{exploded.upper()}]", f"[{text}%25eth0]"]
    return list(dict.fromkeys([*found, *NAMES]))
