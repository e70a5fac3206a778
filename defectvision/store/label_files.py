"""What was drawn on an image, as a file of the store: run lengths by class, exact to the pixel."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from defectvision.data.catalog import CatalogError
from defectvision.data.rle.coco import compress, mask_counts, read_segmentation
from defectvision.data.rle.severstal import decode_rle
from defectvision.store.errors import LostFileError
from defectvision.store.files import Files

LARGEST = 256 << 20  # bytes of a file, unpacked


def keep_masks(files: Files, masks: Mapping[str, NDArray[np.bool_]]) -> str | None:
    """Keep the masks (H, W) that mark anything, by class; returns the digest of their file, None
    where none does."""
    drawn = {name: mask for name, mask in sorted(masks.items()) if mask.any()}
    if not drawn:
        return None
    size = list(next(iter(drawn.values())).shape)
    counts = {name: compress(mask_counts(mask)) for name, mask in drawn.items()}
    return files.put(zlib.compress(json.dumps({"size": size, "masks": counts}).encode()))


def kept_masks(files: Files, digest: str | None) -> dict[str, NDArray[np.bool_]]:
    """The masks (H, W) of a file; raises StoreError where it is lost or damaged."""
    if digest is None:
        return {}
    try:
        unpacker = zlib.decompressobj()
        content = json.loads(unpacker.decompress(files.get(digest), LARGEST))
        height, width = (int(side) for side in content["size"])
        found = {}
        for name, counts in content["masks"].items():
            segmentation = {"size": [height, width], "counts": counts}
            runs, _ = read_segmentation(segmentation, None, digest)
            found[str(name)] = decode_rle(runs, height, width)
    except (zlib.error, ValueError, KeyError, TypeError, AttributeError, CatalogError) as error:
        raise LostFileError(f"{digest}: is damaged ({error}). Draw the image again") from error
    return found
