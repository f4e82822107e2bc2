"""The documentation: its links, and its lists of settings and metrics."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from relay.settings import PREFIX, Settings
from relay.telemetry import Metrics

ROOT = Path(__file__).parent.parent.parent
PAGES = sorted(
    page for folder in (".", "docs", "deploy", "deploy/prometheus") for page in (ROOT / folder).glob("*.md")
)
MAX_WORDS = 1200


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files_and_headings_that_exist(page: Path) -> None:
    for link in links(page):
        path, _, heading = link.partition("#")
        target = (page.parent / path) if path else page
        assert target.exists(), link
        if heading:
            assert heading in anchors(target), link


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().split()) <= MAX_WORDS


def test_every_setting_is_documented() -> None:
    page = (ROOT / "docs/settings.md").read_text()
    for field in Settings.__struct_fields__:
        assert f"`{PREFIX}{field.upper()}`" in page


def test_every_metric_of_the_relay_is_documented() -> None:
    page = (ROOT / "docs/metrics.md").read_text()
    for family in Metrics().registry.collect():
        assert f"`{family.name}" in page, family.name


def links(page: Path) -> Iterator[str]:
    """The links and pictures of a page that lead to files of this repository."""
    text = re.sub(r"^ *```.*?^ *```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    for link in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`\n]*`", "", text)):
        if "://" not in link:
            yield link


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub generates them.

    https://docs.github.com/en/get-started/writing-on-github/getting-started-with-writing-and-formatting-on-github/basic-writing-and-formatting-syntax#section-links
    """
    text = re.sub(r"^ *```.*?^ *```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
