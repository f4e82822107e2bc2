"""Which of an alert's annotations a message shows."""

from collections.abc import Mapping
from typing import Final

import msgspec

from relay.notify.text.plain_text import ELLIPSIS, cut, web_url

RUNBOOKS: Final = ("runbook_url", "runbook", "documentation")
"""Annotations with the link to a runbook, by preference."""
MAX_OTHERS: Final = 20
"""Annotations that are shown of an alert that has none of the usual ones."""
MAX_OTHERS_TEXT: Final = 960
"""Characters of their lines, which share them equally, so that every platform shows each of them."""


class AnnotationTexts(msgspec.Struct, frozen=True):
    """The summary, and the text below it; either may be empty."""

    summary: str
    text: str


def annotation_texts(annotations: Mapping[str, str]) -> AnnotationTexts:
    """The annotations `summary`, `description` and `message`, in any case; without any of these, all others."""
    summary, *texts = [find_annotation(annotations, name) for name in ("summary", "description", "message")]
    shown = [text for text in dict.fromkeys(text.strip() for text in texts) if text not in ("", summary.strip())]
    return AnnotationTexts(summary, "\n".join(shown) if shown or summary else _others(annotations))


def find_annotation(annotations: Mapping[str, str], name: str) -> str:
    """The annotation of this name, also as `Runbook.URL`; empty if there is none, or only whitespace."""
    if (exact := annotations.get(name, "")).strip():
        return exact
    return next((text for key, text in annotations.items() if _normal(key) == name and text.strip()), "")


def runbook_url(annotations: Mapping[str, str]) -> str | None:
    """The link to the runbook, if there is one."""
    found = (web_url(find_annotation(annotations, name)) for name in RUNBOOKS)
    return next((url for url in found if url is not None), None)


def _normal(name: str) -> str:
    return name.lower().replace(".", "_").replace("-", "_")


def _others(annotations: Mapping[str, str]) -> str:
    lines = [
        f"{name}: {' '.join(text.split())}"
        for name, text in sorted(annotations.items())
        if text.strip() and not (_normal(name) in RUNBOOKS and web_url(text))  # which is a link
    ]
    shown = lines[:MAX_OTHERS]
    more = len(lines) - len(shown)
    return "\n".join(
        [
            *(cut(line, MAX_OTHERS_TEXT // len(shown) - len("\n")) for line in shown),
            *([f"{ELLIPSIS} and {more} more annotation{'s' if more != 1 else ''}"] if more else []),
        ]
    )
