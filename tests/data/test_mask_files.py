"""A mask is read as it was meant, or refused by name; none is empty for not being understood."""

import struct
import tracemalloc
import zlib

import numpy as np
import pytest
from PIL import Image

from defectvision.data.catalog import CatalogError
from defectvision.data.class_names import read_class_numbers
from defectvision.data.mask_files import mask_pixels
from defectvision.data.masks import masks_of_file
from defectvision.inference.images import decode_image

SIZE = (24, 32)
MARKED = np.zeros(SIZE, bool)
MARKED[4:14, 6:26] = True


def grey(high, low=0, kind=np.uint8):
    return Image.fromarray(np.where(MARKED, high, low).astype(kind))


def palette(colours, high=1):
    image = Image.fromarray(np.where(MARKED, high, 0).astype(np.uint8), "P")
    image.putpalette([value for colour in colours for value in colour])
    return image


def rgb(colour, ground=(0, 0, 0)):
    return Image.fromarray(np.where(MARKED[..., None], colour, ground).astype(np.uint8))


def alpha(inside, outside, colour=(255, 255, 255)):
    bands = np.full((*SIZE, 4), (*colour, 0), np.uint8)
    bands[..., 3] = np.where(MARKED, inside, outside)
    return Image.fromarray(bands)


READ = {
    "0 and 1": (grey(1), "png"),
    "0 and 255": (grey(255), "png"),
    "0 and 38": (grey(38), "png"),
    "0 and 127": (grey(127), "png"),
    "one bit": (grey(255).convert("1"), "png"),
    "one bit BMP": (grey(255).convert("1"), "bmp"),
    "BMP of 0 and 1": (grey(1), "bmp"),
    "TIFF of 0 and 1": (grey(1), "tif"),
    "16 bits, 1": (grey(1, kind=np.uint16), "png"),
    "16 bits, 65535": (grey(65535, kind=np.uint16), "png"),
    "16 bits, 256": (grey(256, kind=np.uint16), "tif"),
    "32 bits, 1": (grey(1, kind=np.int32), "tif"),
    "palette, red": (palette([(0, 0, 0), (255, 0, 0)]), "png"),
    "palette, dark blue": (palette([(0, 0, 0), (0, 0, 64)]), "png"),
    "palette of black alone": (palette([(0, 0, 0), (0, 0, 0)]), "png"),
    "palette, white": (palette([(0, 0, 0), (255, 255, 255)]), "png"),
    "palette BMP, red": (palette([(0, 0, 0), (255, 0, 0)]), "bmp"),
    "red on black": (rgb((255, 0, 0)), "png"),
    "nearly black blue": (rgb((0, 0, 9)), "png"),
    "1 in three channels": (rgb((1, 1, 1)), "png"),
    "opaque white": (alpha(255, 255, (255, 255, 255)), None),
    "white on nothing": (alpha(255, 0), "png"),
    "black on nothing": (alpha(255, 0, (0, 0, 0)), "png"),
    "red on nothing": (alpha(255, 0, (255, 0, 0)), "png"),
    "white and an even alpha": (rgb((255, 255, 255)).convert("RGBA"), "png"),
    "smeared by JPEG": (grey(255), "jpg"),
}


def saved(folder, image, kind):
    file = folder / f"m.{kind}"
    image.save(file)
    return file


@pytest.mark.parametrize("name", [name for name, (_, kind) in READ.items() if kind])
def test_a_mask_of_any_kind_marks_its_pixels(tmp_path, name):
    image, kind = READ[name]
    ((label, mask),) = masks_of_file(saved(tmp_path, image, kind), "crack", {}, SIZE)
    assert label == "crack"
    assert (mask == MARKED).all()


def several(*values):
    pixels = np.zeros(SIZE, np.uint8)
    for i, value in enumerate(values):
        pixels[2:9, 2 + 9 * i : 9 + 9 * i] = value
    return Image.fromarray(pixels)


@pytest.mark.parametrize(
    ("image", "label", "names", "said"),
    [
        (several(0), "crack", {}, "marks no pixel of crack"),
        (several(1, 2), "crack", {}, "values 0, 1, 2"),
        (several(1, 255), "crack", {}, "values 0, 1, 255"),
        (several(128, 255), "crack", {}, "values 0, 128, 255"),
        (several(85, 170, 255), "crack", {}, "not known"),
        (several(1, 3), "crack", {1: "crack"}, "holds 3"),
        (several(255), "crack", {1: "crack"}, "holds 255"),
        (several(2), "crack", {1: "crack", 2: "pit"}, "marks no pixel of crack"),
        (several(255), "", {}, "labelled good"),
        (several(255), "good", {}, "labelled good"),
        (several(1), "", {1: "crack"}, "marks crack .* labelled good"),
        (several(255), "crack|pit", {}, "crack and pit"),
        (Image.fromarray(np.stack([np.array(several(255, 0)), np.array(several(0, 255)),
                                   np.array(several(0))], -1)), "crack", {}, "several colours"),
        (Image.fromarray(np.zeros((9, 9), np.uint8)), "crack", {}, "the mask is 9 x 9 px"),
        (Image.fromarray(np.zeros(SIZE, np.float32)), "crack", {}, "floating"),
    ],
)  # fmt: skip
def test_what_is_not_understood_is_refused_by_name(tmp_path, image, label, names, said):
    file = saved(tmp_path, image, "tif" if image.mode == "F" else "png")
    with pytest.raises(CatalogError, match=rf"^m\.\w+: .*{said}"):
        masks_of_file(file, label, names, SIZE)


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
@pytest.mark.parametrize("marked", [0, 1])
def test_grey_marks_by_its_transparent_level(tmp_path, bits, marked):
    """As programs write it that make PNG files small."""
    ground = ((1 << bits) - 1) * (1 - marked)
    marks = ground ^ ((1 << bits) - 1)
    (tmp_path / "m.png").write_bytes(
        grey_png(np.where(MARKED, marks, ground), bits, transparent=ground)
    )
    assert (mask_pixels(tmp_path / "m.png", SIZE) == MARKED).all()
    shown = decode_image((tmp_path / "m.png").read_bytes(), "m.png")
    assert (shown == np.where(MARKED, 255 * marked, 255)).all()


def grey_png(levels, bits, transparent):
    each = max(1, 8 // bits)
    if bits == 16:
        rows = levels.astype(">u2")
    else:
        rows = sum(levels[:, i::each] << 8 - bits * (i + 1) for i in range(each)).astype(np.uint8)
    lines = b"".join(b"\0" + row.tobytes() for row in rows)
    head = struct.pack(">IIBBBBB", levels.shape[1], levels.shape[0], bits, 0, 0, 0, 0)
    chunks = [(b"IHDR", head), (b"tRNS", struct.pack(">H", transparent)),
              (b"IDAT", zlib.compress(lines)), (b"IEND", b"")]  # fmt: skip
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(content))
        + name
        + content
        + struct.pack(">I", zlib.crc32(name + content))
        for name, content in chunks
    )


def test_an_empty_mask_of_a_good_image_is_empty(tmp_path):
    for label in ("", "good", "free"):
        ((_, mask),) = masks_of_file(saved(tmp_path, several(0), "png"), label, {}, SIZE)
        assert not mask.any()


def test_numbers_are_the_classes_that_are_named(tmp_path):
    image = palette([(0, 0, 0), (9, 9, 9), (255, 0, 0)], high=2)
    found = dict(masks_of_file(saved(tmp_path, image, "png"), "pit", {1: "crack", 2: "pit"}, SIZE))
    assert (found["pit"] == MARKED).all()
    assert not found["crack"].any()


def test_several_numbers_of_one_class_are_all_of_it(tmp_path):
    file = saved(tmp_path, several(1, 2), "png")
    ((name, mask),) = masks_of_file(file, "crack", {1: "crack", 2: "crack"}, SIZE)
    assert name == "crack" and (mask == (np.array(several(1, 2)) > 0)).all()


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("1,crack\n2,pit\n", {1: "crack", 2: "pit"}),
        ("\ufeffnumber,name\n0,\n1, crack \n,\n1,crack\n", {0: "", 1: "crack"}),
        ("0,background\n0,void\n1,crack\n", {0: "background", 1: "crack"}),
        ("1,crack\n1,pit\n", r"1 is called 'crack' and 'pit'"),
        ("1,crack\n2,\n", r"2 is called ''"),
        ("1,crack|pit\n", r"1 is called 'crack\|pit'"),
        ("1;crack\n2;pit\n", r"Write a number, a comma and a name a line, in UTF-8"),
    ],
)
def test_the_names_of_numbers_are_certain_or_refused(tmp_path, text, names):
    (tmp_path / "classes.csv").write_text(text, encoding="utf-8")
    if isinstance(names, dict):
        assert read_class_numbers(tmp_path) == names
        return
    with pytest.raises(CatalogError, match=rf"classes\.csv: .*{names}"):
        read_class_numbers(tmp_path)


@pytest.mark.parametrize(
    "name", ["one bit", "0 and 255", "16 bits, 65535", "palette, red", "red on black",
             "red on nothing"],
)  # fmt: skip
def test_a_mask_takes_little_more_memory_than_its_pixels(tmp_path, name):
    image = READ[name][0].resize((1280, 960), Image.Resampling.NEAREST)
    image.save(tmp_path / "m.png")
    tracemalloc.start()
    assert mask_pixels(tmp_path / "m.png", (960, 1280)).sum() == 1600 * MARKED.sum()
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 16 * image.width * image.height  # all cores read masks at a time
