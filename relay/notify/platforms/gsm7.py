"""The size of an SMS, and the transliteration of text to the GSM 03.38 alphabet, which takes the least space.

A text in that alphabet takes seven bits a character; a single character outside it makes the whole text UCS-2.
https://www.twilio.com/docs/glossary/what-is-gsm-7-character-encoding
"""

import re
import unicodedata
from functools import lru_cache
from typing import Final

from relay.notify.text.bidi import confined

BASIC: Final = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
EXTENDED: Final = "^{}\\[~]|€"
"""Characters that take two septets each. Source: 3GPP TS 23.038, section 6.2.1.1"""
GSM_SEGMENT: Final = 153
UCS2_SEGMENT: Final = 67
"""Septets, or UTF-16 code units, of a segment of a multi-segment SMS.

https://www.twilio.com/docs/glossary/what-sms-character-limit
"""

_not_gsm = re.compile(f"[^{re.escape(BASIC + EXTENDED)}]")
_extended = re.compile(f"[{re.escape(EXTENDED)}]")

REPLACEMENTS: Final = {
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
"""Characters in the alphabet that are usually read as the same."""
DROPPED: Final = frozenset({"So", "Sk", "Cf", "Cc", "Mn", "Me"})
"""Categories of symbols, marks and controls, without which a text is still readable."""


def is_gsm(text: str) -> bool:
    """Whether a text is entirely in the alphabet."""
    return _not_gsm.search(text) is None


def sms_size(text: str) -> int:
    """The septets of a text that is entirely in the alphabet, the UTF-16 code units of any other."""
    if is_gsm(text):
        return len(text) + len(_extended.findall(text))
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def transliterate(text: str) -> str:
    """The text with typography, accents and symbols replaced by the alphabet, where it stays readable."""
    return _not_gsm.sub(lambda found: _transliterate(found[0]), text)


@lru_cache(maxsize=4096)
def _transliterate(character: str) -> str:
    if character in REPLACEMENTS:
        return REPLACEMENTS[character]
    if unicodedata.category(character) in DROPPED:
        return ""
    if unicodedata.category(character) == "Zs":
        return " "
    decomposed = unicodedata.normalize("NFKD", character)
    base = "".join(character for character in decomposed if not unicodedata.combining(character))
    return base if base and is_gsm(base) else character


def cut(text: str, limit: int) -> str:
    """The text, cut to at most `limit` as measured by `sms_size`; a cut text ends in dots."""
    if sms_size(text) <= limit:
        return confined(text)
    gsm = is_gsm(text)
    ending, used, kept = ("..." if gsm else "…"), 0, 0
    for character in text:
        used += (2 if character in EXTENDED else 1) if gsm else (2 if ord(character) > 0xFFFF else 1)
        if used > limit - len(ending):
            break
        kept += 1
    return confined(text[:kept].rstrip()) + ending
