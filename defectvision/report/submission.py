"""The competition's answer file: a run-length mask for each image and class."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from defectvision.bundle.policy import Policy
from defectvision.data.rle.severstal import encode_rle
from defectvision.inference.inspection import Inspection

HEADER = ("ImageId_ClassId", "EncodedPixels")


@contextmanager
def submission_file(file: Path, policy: Policy) -> Iterator[Callable[[Inspection], None]]:
    """Write `file` as Kaggle's Severstal competition asks for; call what it gives with each
    inspection. A row for each image and masked class, at the image's own size, empty where the
    policy sees nothing.

    The call raises ValueError for an inspection of a bundle without masks.
    """
    with file.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(HEADER)

        def add(inspection: Inspection) -> None:
            if not inspection.mask_classes:
                raise ValueError(f"{inspection.line.name}: this bundle has no masks to submit")
            name = PurePosixPath(inspection.name).name
            for class_name in inspection.mask_classes:
                text = encode_rle(inspection.class_mask(class_name, policy))
                writer.writerow((f"{name}_{class_name}", text))

        yield add
