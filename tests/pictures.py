"""Screenshots as small grey pictures, and how unlike two of them are: Chromium's canvas counts."""

from __future__ import annotations

import struct
import zlib
from base64 import b64encode
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Browser

SHRINK = 8
# Grey levels of 255: letters smoothed another way stay below, a line of text that moved does not.
_LEVELS = 40
_BAND = 20  # rows
_LOAD = """
  const load = async (text) => {
    const image = new Image();
    image.src = `data:image/png;base64,${text}`;
    await image.decode();
    return image;
  };
  const drawn = (image, width, height) => {
    const canvas = document.createElement("canvas");
    Object.assign(canvas, { width, height });
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.imageSmoothingQuality = "high";
    context.filter = "grayscale(1)";
    context.drawImage(image, 0, 0, width, height);
    return [canvas, context.getImageData(0, 0, width, height).data];
  };
"""
# Sixteen grey levels, a hexadecimal digit each.
_SHRUNK = f"""async ([text, by]) => {{ {_LOAD}
  const image = await load(text);
  const [width, height] = [Math.round(image.width / by), Math.round(image.height / by)];
  const levels = drawn(image, width, height)[1].filter((_, n) => n % 4 === 0);
  return [width, height, [...levels].map((level) => (level >> 4).toString(16)).join("")];
}}"""
# Of each row of pixels how many differ, over the part that both have.
_UNLIKE = f"""async ([one, other, levels]) => {{ {_LOAD}
  const images = [await load(one), await load(other)];
  const least = (side) => Math.min(...images.map((image) => image[side]));
  const [width, height] = [least("width"), least("height")];
  const [a, b] = images.map((image) => drawn(image, image.width, image.height)[1]);
  const rows = [...Array(height).keys()].map((y) => [...Array(width).keys()].filter((x) => {{
    const [left, right] = images.map((image) => 4 * (y * image.width + x));
    return Math.abs(a[left] - b[right]) > levels;
  }}).length);
  return [rows, width, images.map((image) => image.height)];
}}"""


@dataclass(frozen=True)
class Unlike:
    """How two pictures differ.

    Attributes:
        share: of the pixels in the band that differs most, as high as a few lines of text.
        at: where that band begins, in pixels of the page.
        heights: of both, in pixels of the page.
    """

    share: float
    at: int
    heights: tuple[int, int]

    @property
    def much(self) -> bool:
        """Whether something moved or is gone, not only smoothed another way."""
        one, other = self.heights
        return self.share > 0.01 or abs(one - other) > 0.01 * max(one, other)


def shrunk(browser: Browser, screenshot: bytes) -> bytes:
    """An eighth of its width and height, in sixteen greys, as PNG."""
    page = browser.new_page()
    try:
        found = page.evaluate(_SHRUNK, [b64encode(screenshot).decode(), SHRINK])
    finally:
        page.close()
    width, height, levels = found
    rows = (levels[at : at + width] + "0" * (width % 2) for at in range(0, len(levels), width))
    lines = b"".join(b"\0" + bytes.fromhex(row) for row in rows)
    head = struct.pack(">IIBBBBB", width, height, 4, 0, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(lines, 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )


def unlike(browser: Browser, one: bytes, other: bytes) -> Unlike:
    """Compare two shrunken pictures."""
    page = browser.new_page()
    try:
        texts = [b64encode(picture).decode() for picture in (one, other)]
        rows, width, heights = page.evaluate(_UNLIKE, [*texts, _LEVELS])
    finally:
        page.close()
    bands = [(sum(rows[y : y + _BAND]), y) for y in range(0, len(rows), _BAND)]
    differing, at = max(bands)
    heights = (heights[0] * SHRINK, heights[1] * SHRINK)
    return Unlike(differing / (width * _BAND), at * SHRINK, heights)
