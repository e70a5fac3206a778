"""How the PDF report looks: measures, colours, styles, and text that its font can show."""

from __future__ import annotations

import io
from xml.sax.saxutils import escape

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PilImage
from reportlab.lib.colors import HexColor
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.platypus import Image

from defectvision.report import looks

MARGIN = 18 * mm
INNER = A4[0] - 2 * MARGIN
INK, SOFT, RULE = HexColor(looks.INK), HexColor(looks.SOFT), HexColor(looks.RULE)
COLOURS = {verdict: HexColor(look.hex) for verdict, look in looks.LOOKS.items()}
# reportlab's own copy of Bitstream Vera is embedded, so that any reader shows the same page.
FONT, BOLD = "Vera", "VeraBd"
BODY = ParagraphStyle("body", fontName=FONT, fontSize=8.5, leading=11.5, textColor=INK)
CELL = ParagraphStyle("cell", BODY, fontSize=7, leading=8.8, wordWrap="CJK")
SMALL = ParagraphStyle("small", BODY, fontSize=7, leading=9, textColor=SOFT)
HEAD = ParagraphStyle("head", BODY, fontName=BOLD, fontSize=11, leading=15, spaceAfter=4)
TITLE = ParagraphStyle("title", BODY, fontName=BOLD, fontSize=18, leading=23, spaceAfter=2)


def register_fonts() -> None:
    """Let reportlab know the fonts; twice does no harm."""
    for name in (FONT, BOLD):
        if name not in pdfmetrics.getRegisteredFontNames():
            pdfmetrics.registerFont(TTFont(name, f"{name}.ttf"))


def flowable(pixels: NDArray[np.uint8], across: float) -> Image:
    """A picture (H, W, 3), at most `across` wide and half a page high."""
    height, width = pixels.shape[:2]
    factor = min(across / width, 95 * mm / height)
    encoded = io.BytesIO()
    PilImage.fromarray(pixels).save(encoded, "JPEG", quality=85)
    encoded.seek(0)
    return Image(encoded, width * factor, height * factor, hAlign="LEFT")


def shown(text: str) -> str:
    """`text` as reportlab's markup."""
    return escape(covered(text))


def covered(text: str) -> str:
    """`text` with `?` for what the report's font cannot show."""
    glyphs = pdfmetrics.getFont(FONT).face.charToGlyph
    return "".join(c if ord(c) in glyphs else "?" for c in text)
