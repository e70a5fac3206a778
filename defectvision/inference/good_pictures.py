"""Which good part each remembered place of a bundle is of, and small pictures of these parts where
the recipe lets the bundle carry them."""

from __future__ import annotations

import io
import json
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from defectvision.bundle.reader import BundleError
from defectvision.bundle.schema import PLACES_FILE
from defectvision.inference.thumbnail import small_jpeg

ANGLES = tuple(range(0, 360, 45))  # at which a part is remembered that lies as it falls
PICTURE_SIDE = 240  # px of a picture's longer side


@dataclass(frozen=True, eq=False)
class GoodPictures:
    """Of K remembered places, of pictures of good parts that are numbered from 0.

    picture: (K,) int32; at: (K, 2) float32 x and y as shares of the model's input; number: of all
    pictures that were learned from; names, jpegs: by number, of those that a place is of; none
    where they are not carried.
    """

    picture: NDArray[np.int32]
    at: NDArray[np.float32]
    number: int
    names: dict[int, str]
    jpegs: dict[int, bytes]

    @classmethod
    def of(cls, folder: Path) -> GoodPictures | None:
        """Of the bundle in `folder`; None where it does not say. Raises BundleError."""
        file = folder / PLACES_FILE
        if not file.is_file():
            return None
        try:
            with np.load(file, allow_pickle=False) as arrays:
                about = json.loads(arrays["about"].tobytes())
                ends = np.concatenate([[0], arrays["ends"]])
                content = arrays["jpegs"].tobytes()
                carried = [int(number) for number in about["carried"]]
                jpegs = {n: content[ends[i] : ends[i + 1]] for i, n in enumerate(carried)}
                names = {int(n): str(name) for n, name in about["names"].items()}
                picture, at = arrays["picture"], arrays["at"].astype(np.float32)
                return cls(picture, at, int(about["number"]), names, jpegs)
        except Exception as error:  # damaged bytes break zipfile, numpy and json in many ways
            raise BundleError(
                f"{file}: cannot be read ({error}). Copy the whole bundle folder again"
            ) from error

    def content(self) -> bytes:
        """As a file."""
        carried = sorted(self.jpegs)
        sizes = [len(self.jpegs[number]) for number in carried]
        about = {"number": self.number, "carried": carried, "names": self.names}
        out = io.BytesIO()
        np.savez_compressed(
            out,
            picture=self.picture,
            at=self.at.astype(np.float16),
            about=np.frombuffer(json.dumps(about).encode(), np.uint8),
            ends=np.cumsum(sizes, dtype=np.int64),
            jpegs=np.frombuffer(b"".join(self.jpegs[number] for number in carried), np.uint8),
        )
        return out.getvalue()

    def joined(self, other: GoodPictures) -> GoodPictures:
        """With the places and pictures of others behind these."""
        return GoodPictures(
            np.concatenate([self.picture, other.picture + np.int32(self.number)]),
            np.concatenate([self.at, other.at]),
            self.number + other.number,
            self.names | {n + self.number: name for n, name in other.names.items()},
            self.jpegs | {n + self.number: jpeg for n, jpeg in other.jpegs.items()},
        )


def carried_picture(pixels: NDArray[np.uint8]) -> bytes:
    """The small picture of a part as it was placed for the model, (H, W) or (H, W, 3) RGB."""
    return small_jpeg(pixels, PICTURE_SIDE)


def places_at(
    cells: NDArray[np.integer], grid: tuple[int, int], frame: tuple[int, int], angle: float
) -> NDArray[np.float32]:
    """(n, 2) x and y, as shares of a `frame` of (height, width), of cells of a `grid` of (rows,
    columns) that was laid over the frame after it was turned by `angle` degrees, against the
    clock."""
    rows, columns = grid
    height, width = frame
    x = ((cells % columns + 0.5) / columns - 0.5) * width
    y = ((cells // columns + 0.5) / rows - 0.5) * height
    cos, sin = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    back = np.stack([(x * cos - y * sin) / width, (x * sin + y * cos) / height], 1) + 0.5
    return back.clip(0, 1).astype(np.float32)
