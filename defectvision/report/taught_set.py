"""A labelled set as files that this program and others read: a folder with index.csv, COCO, YOLO.

COCO and YOLO take an image without an annotation for a good one. An image with a defect that nobody
drew is therefore left out of them, and named.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import cv2
import numpy as np
import yaml
from numpy.typing import NDArray

from defectvision import atomic
from defectvision.bundle.labels import DEVIATION, label_names
from defectvision.bundle.line import Line
from defectvision.bundle.schema import LINE_FILE
from defectvision.csv_file import csv_bytes
from defectvision.data.coco_writer import CocoImage, coco_content
from defectvision.data.pixel_outlines import pixel_outlines
from defectvision.inference.image_error import ImageError
from defectvision.report.archive import add, own_path
from defectvision.report.export import as_csv
from defectvision.store.database import Store
from defectvision.store.errors import LostFileError, StoreError
from defectvision.store.label_files import kept_masks
from defectvision.store.labelling import get_set, images_of, line_of_set
from defectvision.store.tables import LabelledImageRow

INDEX, COCO = "index.csv", "annotations.json"
Write = Callable[[str, bytes], None]
Masks = dict[str, NDArray[np.bool_]]  # (H, W) of the image, by class


@dataclass(frozen=True)
class Labelled:
    """A labelled set at one moment: its images that somebody labelled, and the classes of `line`
    by which they are written."""

    store: Store
    line: Line
    rows: tuple[LabelledImageRow, ...]

    @classmethod
    def of(cls, store: Store, number: int, *, held: bool | None = None) -> Labelled:
        """held: those that are kept for measuring, or the others; None for all."""
        with store.reading() as session:
            line = line_of_set(get_set(session, number))
            rows = images_of(session, number, labelled=True, held=held)
        return cls(store, line, tuple(rows))

    def naming(self, names: Collection[str]) -> Labelled:
        """The set as one that names these defects alone: the others are deviations without a name.
        Raises StoreError where the set has no class for those."""
        line = self.line.of_classes((*self.line.good_names, *names, DEVIATION))
        if line is None:
            raise StoreError(f"the set '{self.line.title}' has no class '{DEVIATION}'")
        return replace(self, line=line)

    def label_of(self, row: LabelledImageRow) -> str:
        """What the image shows, by the names of `line`."""
        if self.line.deviates and row.label not in self.line.class_names:
            return DEVIATION
        return row.label

    def paths(self) -> dict[int, str]:
        """Where each image lies in what is written, by its number: never outside, never twice."""
        taken: set[str] = set()
        return {row.id: own_path("images", row.name, taken) for row in self.rows}


def write_folder(labelled: Labelled, folder: Path) -> tuple[ImageError, ...]:
    """Write images, masks, classes.csv, line.json and index.csv into `folder`; returns the images
    whose files are lost. They keep their rows, so that whoever reads the folder names them. Raises
    OSError."""

    def write(path: str, data: bytes) -> None:
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        atomic.write_bytes(file, data)

    return _index(labelled, write)


def index_zip(labelled: Labelled) -> bytes:
    """What `write_folder` writes, as a zip file."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        _index(labelled, lambda path, data: add(archive, path, data))
    return out.getvalue()


def coco_zip(labelled: Labelled) -> bytes:
    """Images and COCO annotations, one for each class that was drawn on an image, with its
    run-length mask; `info` names the images that are left out."""
    out, paths, lost = io.BytesIO(), labelled.paths(), list[ImageError]()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:

        def images() -> Iterator[CocoImage]:
            for row, data, masks in _drawn(labelled, lost):
                add(archive, paths[row.id], data)
                yield CocoImage(paths[row.id], row.height, row.width, tuple(masks.items()))

        content = coco_content(images(), labelled.line.defect_names)
        content["info"] = {
            "description": f"DefectVision, labelled set '{labelled.line.title}'",
            "left_out": [str(error) for error in lost],
        }
        add(archive, COCO, json.dumps(content, ensure_ascii=False) + "\n")
    return out.getvalue()


def yolo_zip(labelled: Labelled) -> bytes:
    """Images and YOLO segmentation: a line for each area that was drawn, its outline along the
    edges of the px as shares of the image. left_out.csv names the images that are left out."""
    out, paths, lost = io.BytesIO(), labelled.paths(), list[ImageError]()
    names = labelled.line.defect_names
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for row, data, masks in _drawn(labelled, lost):
            lines = []
            for name, mask in masks.items():
                for polygon in pixel_outlines(mask):
                    sides = np.array(polygon).reshape(-1, 2) / (row.width, row.height)
                    shares = " ".join(f"{share:.8f}" for share in sides.ravel())
                    lines.append(f"{names.index(name)} {shares}\n")
            add(archive, paths[row.id], data)
            place = PurePosixPath("labels", *PurePosixPath(paths[row.id]).parts[1:])
            add(archive, str(place.with_suffix(".txt")), "".join(lines))
        about = {"path": ".", "train": "images", "val": "images", "names": dict(enumerate(names))}
        add(archive, "data.yaml", yaml.safe_dump(about, sort_keys=False, allow_unicode=True))
        if lost:
            rows = [(error.name, str(error)) for error in lost]
            add(archive, "left_out.csv", as_csv(("image", "error"), rows))
    return out.getvalue()


def _drawn(
    labelled: Labelled, lost: list[ImageError]
) -> Iterator[tuple[LabelledImageRow, bytes, Masks]]:
    """The images on which all that they show was drawn, each with its bytes and masks; the others
    join `lost`."""
    for row in labelled.rows:
        try:
            data, masks = _content(labelled, row)
        except LostFileError as error:
            lost.append(_lost(row, error))
            continue
        shown = set(label_names(row.label)) & set(labelled.line.defect_names)
        if missing := sorted(shown - set(masks)):
            why = f"nobody has drawn its {', '.join(missing)}, and without it would be called good"
            lost.append(ImageError(row.name, why, "Draw it, or take index.csv."))
            continue
        yield row, data, masks


def _index(labelled: Labelled, write: Write) -> tuple[ImageError, ...]:
    numbers = {name: i for i, name in enumerate(labelled.line.defect_names, 1)}
    paths, taken, lost = labelled.paths(), set[str](), []
    index: list[tuple[str, ...]] = [("path", "label", "mask", "photo_group")]
    for row in labelled.rows:
        place, label = "", labelled.label_of(row)
        try:
            data, masks = _content(labelled, row)
            write(paths[row.id], data)
        except LostFileError as error:
            lost.append(_lost(row, error))
            masks = {}
        # A mask says where all defects of an image are: one that lacks some says nothing.
        if masks and set(masks) == set(label_names(label)):
            place = own_path("masks", row.name, taken, ".png")
            write(place, _numbered(masks, numbers))
        index.append((paths[row.id], label, place, row.part))
    names = [("number", "name"), *((str(i), name) for name, i in numbers.items())]
    write("classes.csv", csv_bytes(names))
    write(LINE_FILE, labelled.line.model_dump_json(indent=2).encode() + b"\n")
    write(INDEX, csv_bytes(index))
    return tuple(lost)


def _numbered(masks: Masks, numbers: dict[str, int]) -> bytes:
    """A PNG of class numbers, 0 background; the later class where two meet."""
    values = np.zeros(next(iter(masks.values())).shape, np.uint8)
    for name, number in numbers.items():
        if name in masks:
            values[masks[name]] = number
    return cv2.imencode(".png", values)[1].tobytes()


def _content(labelled: Labelled, row: LabelledImageRow) -> tuple[bytes, Masks]:
    files = labelled.store.files
    return files.get(row.digest), kept_masks(files, row.masks)


def _lost(row: LabelledImageRow, error: LostFileError) -> ImageError:
    return ImageError(row.name, f"its file is lost ({error})", "Add the image again.")
