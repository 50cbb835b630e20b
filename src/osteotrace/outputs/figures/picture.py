"""Finished figures as files: PNG for the folder, JPEG for the report."""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import cache

import numpy as np
from matplotlib import font_manager
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ft2font import FT2Font
from PIL import Image

_JPEG_BYTES = 200_000  # of one figure in the report
_QUALITIES = (90, 82, 74, 66, 58, 50)
_PNG_LEVEL = 3  # 4% larger than level 6, in less than half the time


@dataclass(frozen=True, slots=True)
class Picture:
    """A figure.

    Attributes
    ----------
    name : str
        File name without suffix; holds no name of the patient.
    caption : str
        What it shows, for the report and for those who cannot see it.
    png : bytes
        Lossless, without metadata.
    jpeg : bytes
        The same picture at 200 kB or less where that is possible.
    """

    name: str
    caption: str
    png: bytes
    jpeg: bytes

    @property
    def smallest(self) -> tuple[str, bytes]:
        """Kind (``png`` or ``jpeg``) and bytes of the smaller file."""
        return ("png", self.png) if len(self.png) <= len(self.jpeg) else ("jpeg", self.jpeg)


def picture_of(figure: Figure, name: str, caption: str, dpi: int) -> Picture:
    """Draw a figure. Equal figures give equal bytes."""
    figure.set_dpi(dpi)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()  # type: ignore[no-untyped-call]
    image = Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3])  # type: ignore[no-untyped-call]
    stream = io.BytesIO()
    image.save(stream, "PNG", compress_level=_PNG_LEVEL)
    return Picture(name, caption, stream.getvalue(), _small_jpeg(image))


def _small_jpeg(image: Image.Image) -> bytes:
    """The best quality that is small enough, else the worst; a better one is never smaller."""
    made = [b""] * len(_QUALITIES)
    first, last = 0, len(_QUALITIES) - 1
    while first <= last:
        middle = (first + last) // 2
        stream = io.BytesIO()
        image.save(stream, "JPEG", quality=_QUALITIES[middle], subsampling=0, optimize=True)
        made[middle] = stream.getvalue()
        if len(made[middle]) <= _JPEG_BYTES:
            last = middle - 1
        else:
            first = middle + 1
    return made[min(first, len(_QUALITIES) - 1)]


def drawable(text: str, limit: int = 0) -> str:
    """Text that the font of the figures can draw: one line, unknown characters as a box, cut at ``limit``."""
    font = _font()
    line = " ".join(text.split())
    shown = "".join(c if font.get_char_index(ord(c)) else "□" for c in line)
    return shown if not limit or len(shown) <= limit else shown[: limit - 1] + "…"


@cache
def _font() -> FT2Font:
    return FT2Font(font_manager.findfont("DejaVu Sans"))
