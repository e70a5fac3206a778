"""Writer of COCO instance annotations: boxes and run-length masks, as pycocotools reads them."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from defectvision import atomic
from defectvision.data.rle.coco import compress, mask_counts


@dataclass(frozen=True, eq=False)
class CocoImage:
    """One image and its regions.

    name: path of the image file as the annotations name it; height, width in px;
    regions: (category, mask) each, the mask (height, width) bool of one region or of a class;
    scores: one for each region where a model made them, else empty; attributes: what else is known
    of the image, which other programs pass over.
    """

    name: str
    height: int
    width: int
    regions: Sequence[tuple[str, NDArray[np.bool_]]] = ()
    scores: Sequence[float] = ()
    attributes: Mapping[str, str] = field(default_factory=dict)


def coco_content(images: Iterable[CocoImage], categories: Sequence[str]) -> dict[str, Any]:
    """The annotations as one JSON object; categories are numbered from 1 in their order.

    Boxes are [left, top, width, height] in px, areas in px. A region without a pixel is left out.
    Raises ValueError for an unknown category or a mask of another size than its image.
    """
    number = {name: i for i, name in enumerate(categories, 1)}
    entries: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for image_id, image in enumerate(images, 1):
        entries.append(
            {
                "id": image_id,
                "file_name": image.name,
                "height": image.height,
                "width": image.width,
                **image.attributes,
            }
        )
        scores: Sequence[float | None] = image.scores or [None] * len(image.regions)
        for (category, mask), score in zip(image.regions, scores, strict=True):
            if category not in number:
                raise ValueError(
                    f"{image.name}: a region of the category {category!r}; known are: "
                    f"{', '.join(number)}"
                )
            if mask.shape != (image.height, image.width):
                raise ValueError(
                    f"{image.name}: a mask of {mask.shape[1]} x {mask.shape[0]} px in an image of "
                    f"{image.width} x {image.height} px"
                )
            if not mask.any():
                continue
            annotation = {
                "id": len(annotations) + 1,
                "image_id": image_id,
                "category_id": number[category],
                "bbox": bounding_box(mask),
                "area": int(np.count_nonzero(mask)),
                "iscrowd": 0,
                "segmentation": {
                    "size": [image.height, image.width],
                    "counts": compress(mask_counts(mask)),
                },
            }
            annotations.append(annotation if score is None else annotation | {"score": score})
    return {
        "images": entries,
        "annotations": annotations,
        "categories": [{"id": i, "name": name} for name, i in number.items()],
    }


def write_coco(file: Path, images: Iterable[CocoImage], categories: Sequence[str]) -> None:
    """Write `coco_content` to `file`; raises what it raises, and OSError."""
    content = json.dumps(coco_content(images, categories), ensure_ascii=False)
    atomic.write_text(file, content + "\n")


def bounding_box(mask: NDArray[np.bool_]) -> list[int]:
    """[left, top, width, height] in px of a mask with a pixel."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    left, top = int(columns[0]), int(rows[0])
    return [left, top, int(columns[-1]) - left + 1, int(rows[-1]) - top + 1]
