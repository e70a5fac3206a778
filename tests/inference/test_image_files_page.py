"""docs/image-files.md tells of every kind that the decoder names, and nothing that it does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from defectvision.inference import kinds

PAGE = (
    (Path(__file__).resolve().parents[2] / "docs" / "image-files.md").read_text("utf-8").casefold()
)
NAMED = {
    "a gif": "gif",
    "a pdf document": "pdf",
    "a zip archive or an office document": "archives",
    "a photoshop document": "psd",
    "a jpeg 2000 image": "jpeg 2000",
    "a jpeg xl image": "jpeg xl",
    "an openexr image": "openexr",
    "a radiance hdr image": "hdr",
    "a fits image": "fits",
    "a qoi image": "qoi",
    "an icon": "icons",
    "a directdraw texture": "dds",
    "a raw photograph (orf)": "orf",
    "a raw photograph (rw2)": "rw2",
    "a raw photograph (raf)": "raf",
    "a raw photograph (x3f)": "x3f",
    "a gzip archive": "archives",
    "a 7z archive": "archives",
    "a rar archive": "archives",
    "a video": "videos",
}
NOT_PICTURES = {"a windows metafile", "a numpy array", "an hdf5 file"}


@pytest.mark.parametrize("what", sorted({what.casefold() for _, what, _ in kinds._OTHERS}))
def test_every_refused_kind_stands_on_the_page(what: str) -> None:
    assert what in NOT_PICTURES or NAMED[what] in PAGE


@pytest.mark.parametrize("kind", ["BMP", "JPEG", "PNG", "TIFF", "WebP"])
def test_every_kind_that_is_read_has_its_row(kind: str) -> None:
    assert f"| {kind.casefold()}" in PAGE and kind in kinds.FORMATS
