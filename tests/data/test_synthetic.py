import io

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from defectvision.data.catalog import CatalogError
from defectvision.data.readers.folders import open_catalog
from defectvision.data.synthetic.samples import (
    SYNTHETIC_NOTE,
    draw,
    draw_with_mask,
    is_synthetic,
    write_samples,
)

LABELS = {
    "casting": ("def", "ok"),
    "neu-surface": (
        "crazing",
        "inclusion",
        "patches",
        "pitted_surface",
        "rolled-in_scale",
        "scratches",
    ),
}
EVERY = [(line, label) for line, labels in LABELS.items() for label in labels]


@pytest.mark.parametrize(("line", "label"), EVERY)
@pytest.mark.parametrize("size", [32, 97, 224])
def test_draw(line, label, size):
    image = draw(line, label, np.random.default_rng(5), size)
    assert image.shape == (size, size)
    assert image.dtype == np.uint8
    assert image.std() > 2  # something is drawn
    assert np.array_equal(image, draw(line, label, np.random.default_rng(5), size))
    assert not np.array_equal(image, draw(line, label, np.random.default_rng(6), size))


MASKED = [
    ("magnetic-tile", label) for label in ("free", "blowhole", "break", "crack", "fray", "uneven")
] + [("severstal-strip", label) for label in ("", "1", "2", "3", "4")]


@pytest.mark.slow
@pytest.mark.parametrize(("line", "label"), MASKED)
@pytest.mark.parametrize("size", [32, 256])
def test_masks_lie_on_what_was_drawn(line, label, size):
    for seed in range(3):
        image, masks = draw_with_mask(line, label, np.random.default_rng(seed), size)
        assert image.dtype == np.uint8
        assert np.array_equal(image, draw(line, label, np.random.default_rng(seed), size))
        assert set(masks) == ({label} if label not in ("", "free") else set())
        for mask in masks.values():
            assert mask.shape == image.shape and mask.dtype == bool
            assert 0 < mask.mean() < 0.7
            assert abs(image[mask].mean() - image[~mask].mean()) > 8


def test_tiles_have_sides_of_their_own_and_strips_one_shape():
    sides = {draw("magnetic-tile", "free", np.random.default_rng(s), 300).shape for s in range(5)}
    assert len(sides) == 5 and all(200 <= side <= 400 for shape in sides for side in shape)
    assert draw("severstal-strip", "3", np.random.default_rng(0), 256).shape == (256, 1600)


@pytest.mark.parametrize(("line", "images"), [("magnetic-tile", 12), ("severstal-strip", 10)])
def test_samples_with_masks_are_read_back(tmp_path, line, images):
    catalog = write_samples(line, tmp_path / "samples", per_class=2, seed=1, size=64)
    assert len(catalog) == images
    assert open_catalog(tmp_path / "samples").table.equals(catalog.table)
    for label, path, mask in zip(
        *(catalog.table[c] for c in ("label", "path", "mask")), strict=True
    ):
        assert is_synthetic((tmp_path / "samples" / path).read_bytes())
        assert (mask == "") == (label in ("", "free"))
        if mask:
            drawn = np.asarray(Image.open(tmp_path / "samples" / mask))
            assert set(np.unique(drawn)) == {0, 255}
            assert drawn.shape[::-1] == Image.open(tmp_path / "samples" / path).size


def test_masks_of_a_line_without_any_are_refused():
    with pytest.raises(ValueError, match="no masks for line 'casting'"):
        draw_with_mask("casting", "def", np.random.default_rng(0), 64)


def test_casting_is_a_bright_face_around_dark_vanes():
    for seed in range(6):
        image = draw("casting", "ok", np.random.default_rng(seed), 300).astype(float)
        rows, columns = np.mgrid[:300, :300] - 150
        r = np.hypot(rows, columns)
        face, vanes = image[(r > 88) & (r < 100)], image[(r > 44) & (r < 52)]
        assert np.median(vanes) < 60 < 100 < np.median(face)


def test_lamp_does_not_give_the_label_away():
    def corner(label: str, seed: int) -> float:
        return float(draw("casting", label, np.random.default_rng(seed), 64)[:6, :6].mean())

    dark = [sum(corner(label, seed) < 180 for seed in range(40)) for label in ("ok", "def")]
    assert all(8 <= count <= 32 for count in dark)


@pytest.mark.parametrize("line", LABELS)
def test_write_samples(tmp_path, line):
    catalog = write_samples(line, tmp_path / "samples", per_class=2, seed=3, size=48)
    assert catalog.counts().to_dict() == dict.fromkeys(LABELS[line], 2)
    assert catalog.warnings == (SYNTHETIC_NOTE,)
    assert len(set(catalog.groups())) == len(catalog)
    assert open_catalog(tmp_path / "samples").table.equals(catalog.table)
    for i in range(len(catalog)):
        data = catalog.image_path(i).read_bytes()
        assert is_synthetic(data)
        assert Image.open(io.BytesIO(data)).size == (48, 48)


def test_samples_do_not_depend_on_how_many_are_asked(tmp_path):
    few = write_samples("neu-surface", tmp_path / "few", 1, size=40)
    more = write_samples("neu-surface", tmp_path / "more", 2, size=40)
    assert few.image_path(0).read_bytes() == more.image_path(0).read_bytes()
    assert more.image_path(0).read_bytes() != more.image_path(1).read_bytes()


def test_default_sizes(tmp_path):
    for line, size in (("casting", 300), ("neu-surface", 200)):
        catalog = write_samples(line, tmp_path / line, 1)
        assert Image.open(catalog.image_path(0)).size == (size, size)


@pytest.mark.parametrize(
    ("line", "label", "size", "message"),
    [
        ("castings", "ok", 64, "Choose one of casting, neu-surface"),
        ("casting", "good", 64, "Choose one of def, ok"),
        ("casting", "ok", 8, "too small"),
    ],
)
def test_draw_refuses(line, label, size, message):
    with pytest.raises(ValueError, match=message):
        draw(line, label, np.random.default_rng(0), size)


def test_write_samples_refuses(tmp_path):
    (tmp_path / "mine.png").touch()
    with pytest.raises(CatalogError, match="not an empty folder"):
        write_samples("casting", tmp_path, 1)
    with pytest.raises(ValueError, match="at least one"):
        write_samples("casting", tmp_path / "new", 0)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.png"]


def png(**text: str) -> bytes:
    info, buffer = PngInfo(), io.BytesIO()
    for key, value in text.items():
        info.add_text(key, value)
    Image.new("L", (20, 20)).save(buffer, "PNG", pnginfo=info)
    return buffer.getvalue()


MARKED = png(Author="x", Software="DefectVision synthetic")


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (MARKED, True),
        (png(), False),
        (png(Software="another"), False),
        (png(Author="DefectVision synthetic"), False),
        (b"", False),
        (MARKED[:30], False),
        (b"Software\0DefectVision synthetic", False),
        (b"\x89PNG\r\n\x1a\n" + b"\xff" * 40, False),
    ],
)
def test_is_synthetic(data, expected):
    assert is_synthetic(data) is expected
