"""How large is a text as an SMS, and how can it be said in the alphabet that takes the least room?

A text that is all GSM 03.38 takes seven bits a character; any other character makes the whole text UCS-2.
https://www.twilio.com/docs/glossary/what-is-gsm-7-character-encoding
"""

import re
import unicodedata
from functools import lru_cache
from typing import Final

BASIC: Final = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
EXTENDED: Final = "^{}\\[~]|€"
"""These take two places each."""
SEGMENT: Final = 153
UCS2_SEGMENT: Final = 67
"""Places of a segment where there are several."""

_foreign = re.compile(f"[^{re.escape(BASIC + EXTENDED)}]")
_extended = re.compile(f"[{re.escape(EXTENDED)}]")

INSTEAD: Final = {
    **dict.fromkeys("‘’‚‛′`´", "'"),  # noqa: RUF001
    **dict.fromkeys("“”„‟″«»", '"'),
    **dict.fromkeys("‐‑‒–—―−", "-"),  # noqa: RUF001
    **dict.fromkeys("•·∙", "*"),
    "…": "...",
    "→": "->",
    "←": "<-",
    "≥": ">=",
    "≤": "<=",
    "≠": "!=",
    "×": "x",  # noqa: RUF001
    "°": " deg",
    "µ": "u",
    "μ": "u",
    "\t": " ",
    "🔥": "FIRING",
    "✅": "OK",
    "✔": "OK",
    "❌": "X",
    "🚨": "!",
    "⚠": "!",
}
"""What is usually read as the same."""
DROPPED: Final = frozenset({"So", "Sk", "Cf", "Cc", "Mn", "Me"})
"""Pictures, marks and controls: what is left without them can still be read."""


def is_gsm(text: str) -> bool:
    """Whether all of it is in the alphabet."""
    return _foreign.search(text) is None


def places(text: str) -> int:
    """How many places the text takes: septets if it is all in the alphabet, UTF-16 code units if not."""
    if is_gsm(text):
        return len(text) + len(_extended.findall(text))
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def plain(text: str) -> str:
    """The text with typography, accents and pictures put in the alphabet, as far as that leaves it readable."""
    return _foreign.sub(lambda found: _plain(found[0]), text)


@lru_cache(maxsize=4096)
def _plain(character: str) -> str:
    if character in INSTEAD:
        return INSTEAD[character]
    if unicodedata.category(character) in DROPPED:
        return ""
    if unicodedata.category(character) == "Zs":
        return " "
    bare = "".join(one for one in unicodedata.normalize("NFKD", character) if not unicodedata.combining(one))
    return bare if bare and is_gsm(bare) else character


def cut(text: str, limit: int) -> str:
    """The text, or its start and three dots, in at most `limit` places; never half of a character."""
    if places(text) <= limit:
        return text
    gsm = is_gsm(text)
    ending, used, kept = ("..." if gsm else "…"), 0, 0
    room = limit - len(ending)
    for character in text:
        used += (2 if character in EXTENDED else 1) if gsm else (2 if ord(character) > 0xFFFF else 1)
        if used > room:
            break
        kept += 1
    return text[:kept].rstrip() + ending
