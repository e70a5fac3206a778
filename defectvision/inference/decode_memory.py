"""What decoding takes of memory, told from a header, and the budget of the process for it.

A file of some KB may unfold to hundreds of MB, and several at once to more than the machine has.
So each picture takes what it needs from one budget before any pixel is decoded, and waits its turn
where the others left too little. A picture that alone needs more than the budget goes alone.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from PIL import ImageFile, JpegImagePlugin, TiffImagePlugin, WebPImagePlugin

from defectvision.inference.depth import is_wide_colour
from defectvision.inference.image_error import ImageError, Refusal
from defectvision.inference.jpeg import JpegFrame
from defectvision.limits import DECODE_BYTES

# Of the largest picture: one of 8 bits a channel as its reader holds it (4), and as an array (3).
BYTES_PER_PIXEL = 7
WAIT_SECONDS = 30.0
SMALL_BYTES = 100_000  # for which nobody waits
STORED = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16B": 2, "I;16L": 2, "I;16N": 2}  # else 4
RGB = 3
COEFFICIENT_BYTES = 2


class BusyError(ImageError):
    """A picture whose turn did not come within WAIT_SECONDS; nothing is wrong with it."""

    def __init__(self, name: str) -> None:
        super().__init__(
            name,
            "not decoded, as other large images take all memory for decoding",
            "Give it again in a moment.",
        )

    def __reduce__(self) -> tuple[type[BusyError], tuple[str]]:  # type: ignore[override]
        return BusyError, (self.name,)


class Budget:
    """Bytes that all threads of a process share; whoever came first is served first."""

    def __init__(self, total: int) -> None:
        self.total, self.taken = total, 0
        self._changed = threading.Condition()
        self._queue: deque[object] = deque()

    def take(self, count: int, seconds: float = WAIT_SECONDS) -> bool:
        """Whether `count` bytes could be had within `seconds`."""
        with self._changed:
            if count <= SMALL_BYTES or (not self._queue and self._has(count)):
                self.taken += count
                return True
            me, until = object(), time.monotonic() + seconds
            self._queue.append(me)
            try:
                while self._queue[0] is not me or not self._has(count):
                    if not self._changed.wait(until - time.monotonic()):
                        return False
                self.taken += count
            finally:
                self._queue.remove(me)
                self._changed.notify_all()
            return True

    def give_back(self, count: int) -> None:
        with self._changed:
            self.taken -= count
            self._changed.notify_all()

    def _has(self, count: int) -> bool:
        return self.taken == 0 or self.taken + count <= self.total


BUDGET = Budget(DECODE_BYTES)
_here = threading.local()


@contextmanager
def decoding(name: str, needed: int, kept: int) -> Iterator[None]:
    """Take `needed` bytes of the budget for as long as a picture is decoded; `kept` of them, its
    pixels, are given back by `holding` where that is around it. Raises BusyError."""
    if not BUDGET.take(needed):
        raise BusyError(name)
    held: list[int] | None = getattr(_here, "held", None)
    keeps = 0
    try:
        yield
        if held is not None:
            keeps = min(kept, needed)
            held.append(keeps)
    finally:
        BUDGET.give_back(needed - keeps)


@contextmanager
def holding() -> Iterator[None]:
    """The pixels that this thread decodes here count until the end of it. One picture: a second one
    would wait for what the first one holds."""
    _here.held = []
    try:
        yield
    finally:
        BUDGET.give_back(sum(_here.held))
        _here.held = None


def bytes_needed(
    image: ImageFile.ImageFile, frame: JpegFrame | None, data: bytes, reduction: int = 1
) -> int:
    """What decoding an opened picture takes at most, its pixels included; frame: of a JPEG, which
    is decoded at 1/`reduction` of its sides."""
    width, height = image.size
    stored = STORED.get(image.mode, 4)
    shown = 1 if image.mode in ("1", "L", "LA", "La", "I") or stored == 2 else RGB
    if isinstance(image, WebPImagePlugin.WebPImageFile):
        alpha = image.mode == "RGBA"
        each = RGB + (5 if alpha else 0) + (4 if b"VP8L" in data[:64] or alpha else 0)
    elif isinstance(image, JpegImagePlugin.JpegImageFile):
        # Once more, beside it, where it has to be shown that nothing of it is missing.
        beside = stored if image.mode in ("L", "RGB") else 4
        each = (shown if image.mode in ("L", "RGB") else stored) + beside
        whole = 0.0
        if frame is not None and not frame.has_one_scan(data):
            whole = frame.coefficients * COEFFICIENT_BYTES
        return int(width * height * (each / reduction**2 + whole))
    elif is_wide_colour(image):
        each = 2 * 2 * (4 if image.mode in ("RGBA", "LA") else 3)  # OpenCV hands out a copy
    else:
        each = stored + shown + (3 if stored == 2 else 0)
    more = 0
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        more = _part_bytes(image)
        turned = image.tag_v2.get(0x0112, 1) != 1
        each += stored if turned else 0
    return width * height * each + more


def check_bytes(needed: int, size: tuple[int, int], limit_pixels: int) -> None:
    """Raises Refusal where a picture of `size` (width, height) px takes more than the largest one
    of 8 bits a channel."""
    limit = BYTES_PER_PIXEL * limit_pixels
    if needed > limit:
        raise Refusal(
            f"{size[0] * size[1] / 1e6:.1f} megapixels as they are coded here take "
            f"{needed / 1e6:.0f} MB to decode, more than {limit / 1e6:.0f}",
            "Save it as an ordinary JPEG or PNG of 8 bits a channel, crop it to the part, or raise "
            "DEFECTVISION_MAX_MEGAPIXELS.",
        )


def _part_bytes(image: TiffImagePlugin.TiffImageFile) -> int:
    """Of one strip or tile, which a coded one is unfolded to by itself."""
    tags = image.tag_v2
    if tags.get(259, 1) == 1:
        return 0
    bits = tags.get(258, (1,))
    each = sum(bits) if tags.get(284, 1) == 1 else max(bits)
    width, rows = tags.get(322, image.width), tags.get(323, tags.get(278, image.height))
    if 323 not in tags:
        rows = min(rows, image.height)
    return int(width) * int(rows) * each // 8
