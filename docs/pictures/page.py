"""HTML pages, and pictures of them taken with Chromium."""

import html
import subprocess
import tempfile
from pathlib import Path
from typing import Final

from PIL import Image, ImageChops

CHROMIUM: Final = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--disable-lcd-text",
)
MAX_HEIGHT: Final = 3000
MARGIN: Final = 16
COLORS: Final = 256
MAX_BYTES: Final = 80_000
"""The size limit of a picture; pictures are committed with the code."""
STYLES: Final = Path(__file__).parent / "styles"


def page(client: str, body: str) -> str:
    """Make a page in a client's style."""
    styles = [(STYLES / f"{name}.css").read_text(encoding="utf-8") for name in ("all", client)]
    return f'<!DOCTYPE html>\n<meta charset="utf-8">\n<style>\n{"".join(styles)}</style>\n<body>{body}\n'


def text(source: str) -> str:
    """Escape text for HTML, with its line breaks."""
    return html.escape(source).replace("\n", "<br>")


def take(chromium: str, page: str, width: int, picture: Path) -> None:
    """Write a PNG of a page, cropped to its content.

    Raises:
        ValueError: the file is too large.
    """
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "page.html")
        source.write_text(page, encoding="utf-8")
        command = [chromium, *CHROMIUM, f"--user-data-dir={folder}/profile", f"--window-size={width},{MAX_HEIGHT}"]
        command += [f"--screenshot={folder}/page.png", source.as_uri()]
        subprocess.run(command, check=True, capture_output=True, timeout=60)  # noqa: S603
        with Image.open(f"{folder}/page.png") as image:
            _crop(image.convert("RGB")).quantize(COLORS, dither=Image.Dither.NONE).save(picture, optimize=True)
    if (size := picture.stat().st_size) > MAX_BYTES:
        raise ValueError(f"{picture.name} has {size} bytes")


def _crop(image: Image.Image) -> Image.Image:
    """Crop the empty space at the bottom."""
    empty = Image.new("RGB", image.size, image.getpixel((0, image.height - 1)))
    _, _, _, end = ImageChops.difference(image, empty).getbbox() or (0, 0, 0, 0)
    return image.crop((0, 0, image.width, min(end + MARGIN, image.height)))
