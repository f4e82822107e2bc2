"""Characters that change the direction of text, confined to the field that contains them.

https://www.unicode.org/reports/tr9/#Explicit_Directional_Embeddings
"""

import re
from typing import Final

POP: Final = "\u202c"
"""Ends an embedding or an override."""
ISOLATES: Final = "\u2066\u2067\u2068"
POP_ISOLATE: Final = "\u2069"
"""Ends an isolate, and the embeddings in it."""
PARAGRAPH_ENDS: Final = "\n\r\u2029"

_directional = re.compile("[\u202a-\u202e\u2066-\u2069]")
_relevant = re.compile(f"[\u202a-\u202e\u2066-\u2069{PARAGRAPH_ENDS}]")


def confined(text: str) -> str:
    """The text without the characters that open a direction and do not end it in the same line, and vice versa."""
    if text.isascii() or not _directional.search(text):
        return text
    removed: set[int] = set()
    opened: list[int] = []
    for found in _relevant.finditer(text):
        at, character = found.start(), found[0]
        if character in PARAGRAPH_ENDS:
            removed.update(opened)
            opened.clear()
        elif character == POP:
            if opened and text[opened[-1]] not in ISOLATES:
                opened.pop()
            else:
                removed.add(at)
        elif character == POP_ISOLATE:
            _end_isolate(text, at, opened, removed)
        else:
            opened.append(at)
    removed.update(opened)
    return "".join([character for at, character in enumerate(text) if at not in removed]) if removed else text


def _end_isolate(text: str, at: int, opened: list[int], removed: set[int]) -> None:
    isolate = next((depth for depth in reversed(range(len(opened))) if text[opened[depth]] in ISOLATES), None)
    if isolate is None:
        removed.add(at)
    else:
        del opened[isolate:]
