"""Samples drawn by the program, for trying a line without anybody's photographs."""

import zlib
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from defectvision.data.catalog import INDEX_NAME, Catalog, CatalogError, catalog_table
from defectvision.data.synthetic import textures
from defectvision.data.synthetic.flat_parts import STRIPS, TILES, MaskedDraw, Masks
from defectvision.data.synthetic.textures import Grey, curve, noise, over, step, stroke

SYNTHETIC_NOTE = "These images are drawn by the program; they are not photographs of parts."
SOFTWARE = "DefectVision synthetic"
SMALLEST_SIZE = 32
CLEAN = "clean"  # folder of the samples whose label is empty

Draw = Callable[[np.random.Generator, int], Grey]
Kind = TypeVar("Kind", Draw, MaskedDraw)


def draw(line: str, label: str, rng: np.random.Generator, size: int) -> NDArray[np.uint8]:
    """One sample, (size, size) uint8 grey; a magnetic tile's sides vary about `size`, and a strip
    is `size` high and 6.25 times as wide.

    An empty label draws a clean strip. Raises ValueError for an unknown line or label, and below
    `SMALLEST_SIZE` px.
    """
    if line in _MASKED:
        return draw_with_mask(line, label, rng, size)[0]
    drawn = _checked(_LINES, line, label, size)(rng, size)
    return np.clip(drawn, 0, 255).astype(np.uint8)


def draw_with_mask(
    line: str, label: str, rng: np.random.Generator, size: int
) -> tuple[NDArray[np.uint8], Masks]:
    """The sample that `draw` gives, and the (H, W) bool mask of each class that is on it.

    Raises ValueError as `draw` does, and for a line that is drawn without masks.
    """
    if line not in _MASKED:
        raise ValueError(f"no masks for line {line!r}. Choose one of {', '.join(_MASKED)}.")
    image, masks = _checked(_MASKED, line, label, size)(rng, size)
    return np.clip(image, 0, 255).astype(np.uint8), masks


def _checked(
    lines: dict[str, tuple[int, dict[str, Kind]]], line: str, label: str, size: int
) -> Kind:
    _line(line)
    labels = lines[line][1]
    if label not in labels:
        known = ", ".join(name or "'' (clean)" for name in labels)
        raise ValueError(f"line {line!r} draws no {label!r}. Choose one of {known}.")
    if size < SMALLEST_SIZE:
        raise ValueError(f"size {size} px is too small to draw. Give at least {SMALLEST_SIZE}.")
    return labels[label]


def write_samples(
    line: str, folder: Path, per_class: int, seed: int = 0, size: int | None = None
) -> Catalog:
    """Write `per_class` PNG per class and an index; each drawing is a photo group of its own.

    Lines that are drawn with masks get them as PNG below `masks/`, 255 being the row's label, and
    clean strips an empty label. Sample number i of a class depends on (line, class, seed, size, i)
    alone. `size` in px is the line's own where not given: 300 for casting and magnetic-tile, 200
    for neu-surface, 256 for severstal-strip. Raises ValueError as `draw` does, and
    CatalogError where the folder already holds something.
    """
    default_size, labels = _line(line)
    folder = Path(folder)
    if per_class < 1:
        raise ValueError(f"per_class is {per_class}. Draw at least one sample.")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise CatalogError(f"{folder}: not an empty folder. Give a new one for the samples.")
    note = PngInfo()
    note.add_text("Software", SOFTWARE)
    masked = line in _MASKED
    columns = (
        ("path", "label", "mask", "photo_group") if masked else ("path", "label", "photo_group")
    )
    rows: dict[str, list[str]] = {column: [] for column in columns}
    for label in labels:
        name = label or CLEAN
        (folder / name).mkdir(parents=True, exist_ok=True)
        for i in range(per_class):
            rng = np.random.default_rng([seed, zlib.crc32(f"{line}/{label}".encode()), i])
            path = f"{name}/{name}_{i:04d}.png"
            if masked:
                image, masks = draw_with_mask(line, label, rng, size or default_size)
                rows["mask"].append(_write_mask(folder, path, masks.get(label)))
            else:
                image = draw(line, label, rng, size or default_size)
            Image.fromarray(image).save(folder / path, pnginfo=note)
            rows["path"].append(path)
            rows["label"].append(label)
            rows["photo_group"].append(f"{line}-{name}-{seed}-{i}")
    catalog = Catalog(folder, catalog_table(rows), f"{line}-synthetic", (SYNTHETIC_NOTE,))
    catalog.write_index(folder / INDEX_NAME)
    return catalog


def _write_mask(folder: Path, path: str, mask: NDArray[np.bool_] | None) -> str:
    """Write the mask of the image at `path`; returns its path, empty where there is no defect."""
    if mask is None:
        return ""
    file = folder / "masks" / path
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(mask.astype(np.uint8) * 255).save(file)
    return f"masks/{path}"


def is_synthetic(data: bytes) -> bool:
    """Whether a file is a PNG that says it was written by `write_samples`; decodes no pixel."""
    if not data.startswith(b"\x89PNG\r\n\x1a\n"):
        return False
    at = 8
    while at + 8 <= len(data):
        length, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        if kind == b"IDAT":
            return False
        if kind == b"tEXt" and data[at + 8 : at + 8 + length] == b"Software\0" + SOFTWARE.encode():
            return True
        at += 12 + length
    return False


def _line(line: str) -> tuple[int, dict[str, Draw] | dict[str, MaskedDraw]]:
    known = _LINES | _MASKED
    if line not in known:
        raise ValueError(f"no samples for line {line!r}. Choose one of {', '.join(known)}.")
    return known[line]


# Radii of the impeller's parts, the rim being 1: face down to the shoulder, the bright seat
# inside it, the dark vanes, the hub, the bore.
_SHOULDER, _SEAT, _VANES, _BORE = 0.62, 0.52, 0.32, 0.23


def _casting(rng: np.random.Generator, size: int, defects: tuple[str, ...]) -> Grey:
    """An impeller from the front, under one of the two lamps such parts are photographed in.

    The lamp is drawn apart from the label: in the published photographs the table's brightness
    gives the label away, and a sample must not teach that.
    """
    white_table = rng.random() < 0.5
    radius = size * rng.uniform(0.385, 0.43)
    stretch = rng.uniform(0.93, 1.07)
    centre = size / 2 + size * rng.uniform(-0.04, 0.04, 2)
    tilt = rng.uniform(-0.02, 0.02, 2)
    rows, columns = np.mgrid[:size, :size].astype(np.float32)
    soft = 0.8 / radius

    def polar(depth: float) -> tuple[Grey, Grey]:
        """Radius and angle about the centre, which parallax shifts for deeper parts."""
        dx = (columns - centre[0]) / radius / stretch - depth * tilt[0]
        dy = (rows - centre[1]) / radius * stretch - depth * tilt[1]
        return np.hypot(dx, dy), np.arctan2(dy, dx)

    r, angle = polar(0)
    rim = _rim(rng, angle, "burr" in defects, "chip" in defects)

    table = 222.0 if white_table else 140.0
    light = rng.uniform(-1, 1, 2)
    fall = (columns * light[0] + rows * light[1]) / size - light.sum() / 2
    image = table + 22 * fall + 3 * noise(rng, size, size / 20, size / 20)
    shadow = rng.uniform(0.25, 0.4) if white_table else rng.uniform(0.45, 0.65)
    r_shadow, _ = polar(-2 * rng.random())
    image = image * (1 - shadow * (1 - step(r_shadow, 1.04, 0.09)))

    face = _face(rng, r, angle, 125.0 if white_table else 172.0)
    image = over(image, face, 1 - step(r, rim, 2 * soft))
    if "burr" in defects:
        flash = 105 + 75 * noise(rng, size, size / 150, size / 150)
        image = over(image, flash, (rim > 1.004) * step(r, 1.0, soft) * (1 - step(r, rim, soft)))
    edge = np.exp(-(((r - 0.995) / (1.6 * soft)) ** 2)) * (np.abs(rim - 1) < 0.004)
    image = image + (35 if white_table else -60) * edge

    # Shoulder: a groove that one side of the rim shades, with a bright edge
    r, angle = polar(1)
    shade = 0.5 + 0.5 * np.cos(angle - rng.uniform(0, 2 * np.pi))
    groove = 150 - 25 * shade if white_table else 160 - 140 * shade
    image = over(image, groove, 1 - step(r, _SHOULDER, soft))
    glint = np.exp(-(((r - _SHOULDER) / (1.8 * soft)) ** 2))
    image = image + 85 * glint * (0.25 + 0.75 * (1 - shade))
    r, angle = polar(2)
    seat = 0.575 if not white_table else 0.6
    image = over(image, _face(rng, r, angle, 165.0) + 10, 1 - step(r, seat, soft))
    image = image + 60 * np.exp(-(((r - _SEAT) / (1.5 * soft)) ** 2)) * shade

    r, angle = polar(4)
    image = over(image, _vanes(rng, size, r, angle), 1 - step(r, _SEAT, soft))
    r, angle = polar(3)
    hub = _face(rng, r, angle, 165.0)
    image = over(image, hub, 1 - step(r, _VANES, soft))
    image = image + 40 * np.exp(-(((r - _BORE - 0.01) / (2 * soft)) ** 2))
    r, angle = polar(5)
    lit = rng.uniform(0, 2 * np.pi)
    bore = 125 + 45 * r / _BORE * np.cos(angle - lit) + 3 * noise(rng, size, 2, 2)
    image = over(image, bore, 1 - step(r, _BORE, soft))

    def on_face(low: float, high: float) -> tuple[float, float]:
        at, far = rng.uniform(0, 2 * np.pi), rng.uniform(low, high) * radius
        return centre[0] + far * np.cos(at) * stretch, centre[1] + far * np.sin(at) / stretch

    if "hole" in defects:
        for _ in range(rng.integers(1, 4)):
            image = _blow_hole(rng, image, on_face(0.66, 0.95), size)
    if "scratch" in defects:
        for _ in range(rng.integers(1, 3)):
            start = on_face(0.7, 0.85)
            points = curve(rng, size, start, rng.uniform(0, 2 * np.pi), int(rng.integers(6, 12)))
            image = stroke(image, points, float(rng.choice([-85, 75])), size / 280)
    image = cv2.GaussianBlur(image.astype(np.float32), (0, 0), 0.5)
    return image + rng.normal(0, 2.2, image.shape).astype(np.float32)


def _away(angle: Grey, at: float) -> Grey:
    """Angle from `at`, within +-pi."""
    return (angle - at + np.pi) % (2 * np.pi) - np.pi


def _rim(rng: np.random.Generator, angle: Grey, burr: bool, chip: bool) -> Grey:
    """Radius of the rim at each angle: 1, more where metal stands out, less where it broke."""
    rim = np.ones_like(angle)
    # sampled finely round the circle; the ends meet because each event fades out
    for kind, count in (("burr", burr * rng.integers(2, 5)), ("chip", chip * rng.integers(1, 4))):
        for _ in range(count):
            away = _away(angle, rng.uniform(-np.pi, np.pi))
            width = rng.uniform(0.15, 0.5) if kind == "burr" else rng.uniform(0.03, 0.07)
            teeth = np.interp(away, np.linspace(-1, 1, 80), rng.uniform(0.2, 1, 80))
            height = rng.uniform(0.03, 0.06) if kind == "burr" else -rng.uniform(0.04, 0.09)
            rim = rim + height * teeth * np.exp(-((away / width) ** 4))
    return rim.astype(np.float32)


def _face(rng: np.random.Generator, r: Grey, angle: Grey, level: float) -> Grey:
    """A turned face: lines along the circumference, highlights that fan out from the centre."""
    lines = np.interp(r, np.linspace(0, 1.2, 400), rng.normal(0, 1, 400)).astype(np.float32)
    towards = rng.uniform(0, 2 * np.pi)
    fan = 16 * np.cos(2 * (angle - towards))
    for side in (0, np.pi):  # a turned face mirrors the lamp on both sides
        for _ in range(3):
            away = _away(angle, towards + side + rng.normal(0, 0.35))
            fan = fan + rng.uniform(8, 26) * np.exp(-((away / rng.uniform(0.03, 0.15)) ** 2))
    ripple = 5 * np.sin(r * rng.uniform(180, 260) + 14 * np.cos(angle - towards))
    close = np.clip(np.cos(angle - towards), 0, 1) ** 12
    return (level + fan + 4.5 * lines + ripple * close).astype(np.float32)


def _vanes(rng: np.random.Generator, size: int, r: Grey, angle: Grey) -> Grey:
    spiral = np.cos(int(rng.integers(6, 8)) * (angle + 3.2 * r) + rng.uniform(0, 2 * np.pi))
    ridges = np.clip(spiral, 0, 1) ** 8 * step(r, 0.38, 0.06)
    return 22 + 26 * ridges + 5 * noise(rng, size, 1, 1) * (0.4 + ridges)


def _blow_hole(rng: np.random.Generator, image: Grey, at: tuple[float, float], size: int) -> Grey:
    """A dark pit with a ragged outline and a lit lip."""
    turn = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    reach = size * rng.uniform(0.006, 0.017) * rng.uniform(0.6, 1.2, 12)
    points = np.asarray(at) + np.stack([np.cos(turn), np.sin(turn)], 1) * reach[:, None]
    pit, lip = np.zeros_like(image, np.float32), np.zeros_like(image, np.float32)
    # fixed point of 4 bits: a hole of two pixels still has a shape
    cv2.fillPoly(lip, [np.rint((points + size / 300) * 16).astype(np.int32)], 1.0, cv2.LINE_8, 4)
    cv2.fillPoly(pit, [np.rint(points * 16).astype(np.int32)], 1.0, cv2.LINE_8, 4)
    soft = size / 500
    image = over(image, np.float32(225), 0.6 * cv2.GaussianBlur(lip, (0, 0), soft))
    return over(image, np.float32(18), cv2.GaussianBlur(pit, (0, 0), soft))


def _casting_ok(rng: np.random.Generator, size: int) -> Grey:
    return _casting(rng, size, ())


def _casting_def(rng: np.random.Generator, size: int) -> Grey:
    kinds = ("burr", "hole", "chip", "scratch")
    chosen = rng.choice(kinds, size=int(rng.integers(1, 3)), replace=False)
    return _casting(rng, size, tuple(str(kind) for kind in chosen))


_LINES: dict[str, tuple[int, dict[str, Draw]]] = {
    "casting": (300, {"def": _casting_def, "ok": _casting_ok}),
    "neu-surface": (
        200,
        {
            "crazing": textures.crazing,
            "inclusion": textures.inclusion,
            "patches": textures.patches,
            "pitted_surface": textures.pitted_surface,
            "rolled-in_scale": textures.rolled_in_scale,
            "scratches": textures.scratches,
        },
    ),
}
_MASKED: dict[str, tuple[int, dict[str, MaskedDraw]]] = {
    "magnetic-tile": (300, TILES),
    "severstal-strip": (256, STRIPS),
}
