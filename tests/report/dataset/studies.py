"""A small study with known answers: no image is read for it."""

from pathlib import Path

import numpy as np
import pandas as pd

from defectvision.audit.near_duplicates import Group
from defectvision.audit.regions import COLUMNS
from defectvision.audit.study import Study
from defectvision.data.catalog import Catalog, catalog_table
from defectvision.data.image_set import ImageSet

LABELS = ("ok", "ok", "dent", "dent|rust", "", "rust")
SPLITS = ("train", "test", "train", "train", "test", "")
BRIGHTNESS = (100.0, 110.0, 40.0, 50.0, 105.0, 45.0)
AREAS = ((2, "dent", 10.0), (3, "dent", 400.0), (3, "rust", 40.0), (5, "rust", 90.0))


def catalog(labels: tuple[str, ...] = LABELS, splits: tuple[str, ...] | None = SPLITS) -> Catalog:
    columns = {"path": [f"{i}.png" for i in range(len(labels))], "label": list(labels)}
    if splits:
        columns["split"] = list(splits)
    return Catalog(Path("/data/parts"), catalog_table(columns), "parts")


def study(
    labels: tuple[str, ...] = LABELS,
    splits: tuple[str, ...] | None = SPLITS,
    groups: tuple[tuple[int, ...], ...] = ((0, 1),),
    has_images: bool = True,
) -> Study:
    """Six pictures: 0 and 1 show one photograph, 2, 3 and 5 have masks."""
    regions = pd.DataFrame(
        [
            {
                "image": image, "label": label, "area_px": area, "length_px": area / 2,
                "width_px": 2.0, "elongation": area / 4, "x": 0.05 + image / 10, "y": 0.5,
                "left": 0, "top": 0, "box_width": 2, "box_height": 2,
            }
            for image, label, area in AREAS
        ],
        columns=["image", *COLUMNS],
    )  # fmt: skip
    pictures = pd.DataFrame(
        {
            "image": range(len(labels)), "path": [f"{i}.png" for i in range(len(labels))],
            "width": 224, "height": 224, "aspect_ratio": 1.0, "contrast": 20.0,
            "brightness": (BRIGHTNESS * len(labels))[: len(labels)],
            "sharpness": [float(9 - i) for i in range(len(labels))],
        }
    )  # fmt: skip
    return Study(
        ImageSet(catalog(labels, splits), has_images=has_images),
        pictures if has_images else pd.DataFrame(),
        regions,
        coverage={"dent": np.full((32, 32), 0.25, np.float32)},
        groups=[Group(images, "rotated") for images in groups],
        map=pd.DataFrame({"image": range(len(labels)), "x": 0.0, "y": range(len(labels))}),
        failures=["broken.png: damaged. Copy it again."],
        key="known",
    )
