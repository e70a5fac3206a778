"""What a JPEG says of itself before it is decoded: how it is coded, and which pictures it holds."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from defectvision.inference.image_error import Refusal
from defectvision.inference.kinds import SAVE_AS

# Markers that begin a frame (ITU-T T.81, table B.1), those that are not read with their names.
_READ = {0xC0, 0xC1, 0xC2}
_PROGRESSIVE, _SCAN = 0xC2, 0xDA
_FRAMES = {
    0xC3: "a lossless JPEG",
    **dict.fromkeys((0xC5, 0xC6, 0xC7), "a hierarchical JPEG"),
    **dict.fromkeys((0xC9, 0xCA), "a JPEG with arithmetic coding"),
    0xCB: "a lossless JPEG",
    **dict.fromkeys((0xCD, 0xCE, 0xCF), "a hierarchical JPEG"),
    0xF7: "a JPEG-LS image",
}
_ALONE = {0x01, *range(0xD0, 0xD9)}  # markers without a length
_APP2 = 0xE2
ORDINARY = "Save it as an ordinary JPEG of 8 bits, or as PNG."
# Types of CIPA DC-007's multi-picture format: views of one scene, and previews.
_VIEW, _PREVIEW = 0x02, 0x01


class JpegFrame(NamedTuple):
    """What a JPEG says of its coded data: its frame's marker and content, and where it stands."""

    marker: int
    content: bytes
    at: int

    @property
    def height(self) -> int:
        return int.from_bytes(self.content[1:3])

    @property
    def components(self) -> bytes:
        """The number of each component."""
        return self.content[6::3]

    @property
    def coefficients(self) -> float:
        """Coefficients per px, all of which a decoder keeps where there are several scans."""
        sampling = [(byte >> 4, byte & 15) for byte in self.content[7::3]]
        across, down = (max((s[i] for s in sampling), default=1) or 1 for i in (0, 1))
        return sum(s[0] * s[1] for s in sampling) / (across * down)

    def first_scan(self, data: bytes) -> int:
        """Where the coded data begin."""
        return data.find(b"\xff\xda", self.at)

    def has_one_scan(self, data: bytes) -> bool:
        """Whether a single scan holds all components, whole."""
        at = self.first_scan(data)
        return self.marker != _PROGRESSIVE and data[at + 4 : at + 5] == self.content[5:6]


def check_jpeg(data: bytes) -> JpegFrame | None:
    """Raises Refusal for a sound JPEG that is not read: coded in another way, of more than 8 bits,
    of several views, or whose first picture is a preview. Damage is left to the decoder, as is a
    file without a frame (None)."""
    for marker, content, at in _segments(data):
        if marker == _APP2 and content.startswith(b"MPF\0"):
            _check_pictures(content[4:])
        if marker in _FRAMES:
            raise Refusal(_FRAMES[marker], SAVE_AS)
        if marker in _READ:
            if content and content[0] != 8:
                raise Refusal(f"a JPEG of {content[0]} bits a channel", ORDINARY)
            return JpegFrame(marker, content, at)
    return None


def lacks_scans(data: bytes, frame: JpegFrame) -> bool:
    """Whether the scans of a file that has several leave out a part of a component's coefficients,
    or the last bits of some."""
    missing = {(component, place) for component in frame.components for place in range(64)}
    at = frame.first_scan(data)
    while at >= 0:
        _, content, _ = next(_segments(data, at), (0, b"", 0))
        count = content[0] if content else 0
        if len(content) == 4 + 2 * count and content[-1] & 0x0F == 0:
            first, last = content[-3], content[-2]
            for component in content[1 : 1 + 2 * count : 2]:
                missing -= {(component, place) for place in range(first, last + 1)}
        at = data.find(b"\xff\xda", at + 2)
    return bool(missing)


def _segments(data: bytes, at: int = 2) -> Iterator[tuple[int, bytes, int]]:
    """Marker, content and place of each segment up to the first scan, with it, or the first that
    makes no sense."""
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:  # padding
            at += 1
            continue
        if marker in _ALONE:
            at += 2
            continue
        (length,) = struct.unpack_from(">H", data, at + 2)
        if length < 2:
            return
        yield marker, data[at + 4 : at + 2 + length], at
        if marker == _SCAN:
            return
        at += 2 + length


def _check_pictures(index: bytes) -> None:
    """index: the multi-picture index, laid out as a TIFF."""
    order = {b"II": "<", b"MM": ">"}.get(index[:2])
    if order is None or len(index) < 8:
        return
    try:
        (at,) = struct.unpack_from(order + "I", index, 4)
        (count,) = struct.unpack_from(order + "H", index, at)
        for entry in range(min(count, 100)):
            tag, _, size, where = struct.unpack_from(order + "HHII", index, at + 2 + 12 * entry)
            if tag == 0xB002:
                kinds = [
                    struct.unpack_from(order + "I", index, where + 16 * i)[0] >> 16 & 0xFF
                    for i in range(min(size // 16, 1000))
                ]
                break
        else:
            return
    except struct.error:  # metadata as hostile as the rest; the first picture is what it is
        return
    if kinds.count(_VIEW) > 1:
        raise Refusal(
            f"a JPEG of {kinds.count(_VIEW)} views (MPO)", "Save each view as an image of its own."
        )
    if kinds and kinds[0] == _PREVIEW:
        raise Refusal("a JPEG whose first picture is a preview (MPO)", SAVE_AS)
