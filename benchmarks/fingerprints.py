"""How often a copy of a learned image is known by its fingerprint, and how often another part is.

    python -m benchmarks.fingerprints ../shared/data/casting ../shared/data/magnetic_tile

Half of the photo groups are learned: a folder gets the hashes and fingerprints that a bundle keeps
of them, and nothing else. Of one image of each, changed copies are written as JPEG to folders of
their own, and `how_seen` is asked about those, as `defectvision evaluate` asks. The other half are
different parts of the same line; each of their images is asked about as it is. Photo groups are
those of the index joined with the near-copies that the Dataset page finds.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from defectvision.audit.study import study
from defectvision.bundle.schema import FINGERPRINTS_FILE, SEEN_FILE, Measure
from defectvision.copies.keypoints import as_grey
from defectvision.data.image_set import ImageSet, open_set
from defectvision.evaluation.gate import share
from defectvision.evaluation.seen import NEAR_COPY, how_seen, image_digest, make_fingerprints
from defectvision.inference.labelled_images import read_pixels
from defectvision.limits import PIXELS
from defectvision.settings import settings

Picture = NDArray[np.uint8]
Change = Callable[[Picture, np.random.Generator], Picture]
QUALITY = 85  # of the copies' JPEG


def rotated(picture: Picture, rng: np.random.Generator, grown: bool = True) -> Picture:
    """By any angle; the frame grows so that nothing is cut off, or stays."""
    height, width = picture.shape
    matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), rng.uniform(0, 360), 1)
    size = width, height
    if grown:
        across = np.abs(matrix[:, :2]) @ (width, height)
        size = round(across[0]), round(across[1])
        matrix[:, 2] += (np.array(size) - (width, height)) / 2
    return cv2.warpAffine(picture, matrix, size, borderMode=cv2.BORDER_REPLICATE)


def mirrored(picture: Picture, rng: np.random.Generator) -> Picture:
    return np.ascontiguousarray(np.rot90(picture[:, ::-1], rng.integers(4)))


def relit(picture: Picture, rng: np.random.Generator) -> Picture:
    """Another gain, another gamma, and a gradient across."""
    ramp = 1 + rng.uniform(-0.6, 0.6) * np.linspace(-0.5, 0.5, picture.shape[1])
    light = (picture / 255) ** rng.uniform(0.7, 1.4) * rng.uniform(0.7, 1.2) * ramp
    return np.clip(light * 255, 0, 255).astype(np.uint8)


def rescaled(picture: Picture, rng: np.random.Generator) -> Picture:
    factor = rng.uniform(0.5, 1.8)
    way = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    return cv2.resize(picture, None, fx=factor, fy=factor, interpolation=way)


def recompressed(picture: Picture, rng: np.random.Generator) -> Picture:
    quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(30, 60))]
    return cv2.imdecode(cv2.imencode(".jpg", picture, quality)[1], cv2.IMREAD_GRAYSCALE)


def everything(picture: Picture, rng: np.random.Generator) -> Picture:
    for change in (mirrored, rotated, relit, rescaled):
        picture = change(picture, rng)
    return picture


CHANGES: dict[str, Change] = {
    "rotated by any angle": rotated,
    "rotated, corners cut off": lambda picture, rng: rotated(picture, rng, grown=False),
    "mirrored and turned by quarters": mirrored,
    "re-lit: gain, gamma, gradient": relit,
    "rescaled, 0.5 to 1.8 times": rescaled,
    "JPEG of quality 30 to 60": recompressed,
    "mirrored, rotated, re-lit and rescaled": everything,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, nargs="+")
    for data in parser.parse_args().data:
        images = open_set(data, PIXELS)
        found = study(data, settings().cache, PIXELS, image_set=images)
        print(json.dumps(measured(replace(images, catalog=found.grouped)), indent=1))


def measured(images: ImageSet) -> dict[str, object]:
    groups = images.catalog.groups()
    rng = np.random.default_rng(0)
    names = rng.permutation(np.unique(groups))
    known = np.isin(groups, names[: len(names) // 2])
    learned, others = (images.take(np.flatnonzero(rows)) for rows in (known, ~known))
    with tempfile.TemporaryDirectory() as place:
        bundle = Path(place) / "bundle"
        bundle.mkdir()
        files = [learned.catalog.image_path(i) for i in range(len(learned.catalog))]
        (bundle / SEEN_FILE).write_text("\n".join(map(image_digest, files)) + "\n")
        started = time.perf_counter()
        made = make_fingerprints(learned)
        seconds = time.perf_counter() - started
        (bundle / FINGERPRINTS_FILE).write_bytes(made.content())
        chosen = [
            rng.choice(np.flatnonzero(learned.catalog.groups() == n))
            for n in names[: len(names) // 2]
        ]
        copies = {
            kind: told(
                known_copies(learned, chosen, change, Path(place) / str(i), bundle), len(chosen)
            )
            for i, (kind, change) in enumerate(CHANGES.items())
        }
        started = time.perf_counter()
        fired = np.array(how_seen(others, bundle)) == NEAR_COPY
        apart = len(np.unique(others.catalog.groups()))
        asking = (time.perf_counter() - started) / len(fired)
    return {
        "data": images.catalog.name,
        "learned": {"images": len(files), "photo_groups": len(chosen)},
        "fingerprints": len(made),
        "bytes_each": round(len(made.content()) / len(made)),
        "ms_to_make_one": round(1e3 * seconds / len(files), 1),
        "ms_to_ask": round(1e3 * asking, 1),
        "copies_known": copies,
        "other_parts": {
            "images": len(fired),
            "photo_groups": apart,
            "taken_for_copies": told(fired, apart),
            "photo_groups_of_these": len(np.unique(others.catalog.groups()[fired])),
        },
    }


def known_copies(
    learned: ImageSet, rows: list[int], change: Change, folder: Path, bundle: Path
) -> NDArray[np.bool_]:
    """(len(rows),) whether the changed copies of these images, written to `folder`, are known."""
    (folder / "copies").mkdir(parents=True)
    for number, row in enumerate(rows):
        changed = change(as_grey(read_pixels(learned, row)), np.random.default_rng([7, number]))
        cv2.imwrite(
            str(folder / "copies" / f"{number:05}.jpg"),
            changed,
            [cv2.IMWRITE_JPEG_QUALITY, QUALITY],
        )
    return np.array(how_seen(open_set(folder, PIXELS), bundle)) == NEAR_COPY


def told(fired: NDArray[np.bool_], groups: int) -> str:
    rate: Measure = share(fired, groups)
    return f"{fired.sum()} of {len(fired)}: {rate.value:.1%} ({rate.low:.1%} to {rate.high:.1%})"


if __name__ == "__main__":
    main()
