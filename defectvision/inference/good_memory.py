"""The memory of a bundle from good parts, read out of its graph: asked about places, and grown.

It needs no torch. In the graph (see models/memory.py) the memory is one array whose rows are
remembered places; with more rows the graph is another bundle's, and all else of it stays.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import cv2
import numpy as np
import onnx
from google.protobuf.message import DecodeError
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from defectvision.bundle.reader import BundleError
from defectvision.bundle.schema import MODEL_FILE, LoadedBundle
from defectvision.inference.good_pictures import (
    ANGLES,
    GoodPictures,
    carried_picture,
    places_at,
)
from defectvision.inference.preprocessing import prepare, read_image
from defectvision.inference.runtime import Runtime, runtime_of

USUAL_SHARE = 0.01  # of good pictures that score above 0.5, see training/good_parts.py
MEMORY, MASK, HALF = "memory", "mask", "_half"  # arrays of the graph; what large ones' names end in
DESCRIBED = "described"  # the output by which the graph says what describes each place
MOST_JOINING = 200  # places of one part; a picture of something else would bring all of its own

Places = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Looked:
    """A picture as it is remembered. pixels: (H, W) or (H, W, 3) uint8, placed for the model;
    places: (N, D, h, w), what describes each place, at each angle that it is remembered at."""

    name: str
    pixels: NDArray[np.uint8]
    places: Places


@dataclass(frozen=True, eq=False)
class Joining:
    """vectors: (n, D) places that join a memory; pictures: what they are of."""

    vectors: Places
    pictures: GoodPictures


@dataclass(frozen=True, eq=False)
class Farthest:
    """at: (2,) x and y of a place, as shares of the model's input; nearest: the number of the
    remembered place that it is nearest to."""

    at: NDArray[np.float32]
    nearest: int


class GoodMemory:
    """What a bundle remembers.

    vectors: (K, D) float32, a row a remembered place. usual: how far from them the farthest place
    of a usual good picture lies, one in two farther.
    """

    def __init__(self, loaded: LoadedBundle):
        """Raises BundleError where the bundle remembers no good parts."""
        self.loaded, file = loaded, loaded.folder / MODEL_FILE
        try:
            self._graph: onnx.ModelProto = onnx.load_model(str(file))
        except (OSError, DecodeError) as error:
            raise BundleError(f"{file}: cannot be read ({error}). Export it again") from error
        arrays = {one.name.removesuffix(HALF): one for one in self._graph.graph.initializer}
        if MEMORY not in arrays or MASK not in arrays:
            raise BundleError(
                f"{loaded.folder}: is no bundle from good parts alone, so no part can join what it "
                "remembers. Train it again with the part among its images"
            )
        self._kept = arrays[MEMORY]
        self.vectors: Places = numpy_helper.to_array(self._kept).astype(np.float32)
        factor, shift = numpy_helper.to_array(arrays[MASK]).astype(float)
        self.usual = float(-(shift + math.log(0.5 / USUAL_SHARE)) / factor)

    @property
    def angles(self) -> tuple[int, ...]:
        """At which each part is remembered, degrees."""
        kept = (self.loaded.bundle.provenance.get("recipe") or {}).get("memory") or {}
        return ANGLES if kept.get("turned") else (0,)

    def look(self, data: bytes, name: str, limit_pixels: int) -> Looked:
        """An image file as it is remembered. Raises ImageError."""
        how = self.loaded.bundle.preprocessing
        image, size = read_image(data, name, how, limit_pixels, self.loaded.line.bits)
        tensor, placed = prepare(image, how, size)
        centre = ((how.width - 1) / 2, (how.height - 1) / 2)
        turned = [tensor]
        for angle in self.angles[1:]:
            turn = cv2.getRotationMatrix2D(centre, angle, 1)
            planes = [cv2.warpAffine(plane, turn, (how.width, how.height)) for plane in tensor]
            turned.append(np.array(planes, np.float32))
        return Looked(name, placed.pixels, self.describe(np.stack(turned)))

    def describe(self, images: NDArray[np.float32]) -> Places:
        """What describes each place of model inputs (B, channels, H, W): (B, D, h, w)."""
        return self._describer.run(images)[DESCRIBED]

    def nearest(self, places: Places) -> tuple[Places, NDArray[np.intp]]:
        """How far each place (D, h, w) is from the nearest one that is remembered, averaged with
        its neighbours as the model does, (h, w), and which that is (h, w)."""
        squares, which = _squares(_rows(places), self.vectors)
        shape = places.shape[1:]
        return _averaged(np.sqrt(squares).reshape(shape)), which.reshape(shape)

    def farthest(self, looked: Looked) -> Farthest:
        """The place of a picture that is farthest from all that is remembered, and the nearest
        that is."""
        places = looked.places[0]
        distance, which = self.nearest(places)
        cell = int(distance.argmax())
        frame = self.loaded.bundle.preprocessing
        (at,) = places_at(np.array([cell]), distance.shape, (frame.height, frame.width), 0)
        return Farthest(at, int(which.flat[cell]))

    def lacking(self, parts: Sequence[Looked]) -> Joining:
        """What must join the memory so that no place of the parts lies farther from it than the
        farthest of a usual good picture: the farthest places first, one after the other,
        MOST_JOINING at most."""
        pictures = np.concatenate([one.places for one in parts])
        grid, width = pictures.shape[2:], pictures.shape[1]
        rows = np.concatenate([_rows(one) for one in pictures])
        squares, _ = _squares(rows, self.vectors)
        joined: list[Places] = []
        chosen: list[int] = []
        while len(joined) < MOST_JOINING:
            maps = np.sqrt(squares).reshape(len(pictures), *grid)
            if max(_averaged(one).max() for one in maps) <= self.usual:
                break
            chosen.append(int(squares.argmax()))
            joined.append(rows[chosen[-1]].astype(np.float16).astype(np.float32))
            squares = np.minimum(squares, _squares(rows, joined[-1][None])[0])
        vectors = np.array(joined, np.float32).reshape(-1, width)
        return Joining(vectors, self._pictures(parts, np.array(chosen, int), grid))

    def _pictures(
        self, parts: Sequence[Looked], chosen: NDArray[np.int_], grid: tuple[int, ...]
    ) -> GoodPictures:
        """Of places of the parts, by their numbers among those of all parts and angles."""
        picture, cell = np.divmod(chosen, math.prod(grid))
        part, turn = np.divmod(picture, len(self.angles))
        frame = self.loaded.bundle.preprocessing
        size = (frame.height, frame.width)
        at = np.array(
            [
                places_at(one[None], (grid[0], grid[1]), size, self.angles[angle])[0]
                for one, angle in zip(cell, turn, strict=True)
            ],
            np.float32,
        ).reshape(-1, 2)
        some = sorted(set(part.tolist()))
        return GoodPictures(
            part.astype(np.int32),
            at,
            len(parts),
            {number: parts[number].name for number in some},
            {number: carried_picture(parts[number].pixels) for number in some},
        )

    def grown(self, places: Places) -> bytes:
        """The graph with these places (n, D) remembered too."""
        grown = onnx.ModelProto()
        grown.CopyFrom(self._graph)
        for one in grown.graph.initializer:
            if one.name == self._kept.name:
                before = numpy_helper.to_array(one)
                one.CopyFrom(
                    numpy_helper.from_array(
                        np.concatenate([before, places.astype(before.dtype)]), one.name
                    )
                )
        onnx.checker.check_model(grown)
        return grown.SerializeToString()

    @cached_property
    def _describer(self) -> Runtime:
        try:
            return describer(self._graph)
        except LookupError as error:
            raise BundleError(
                f"{self.loaded.folder / MODEL_FILE}: {error}. Train it again"
            ) from error


def describer(graph: onnx.ModelProto) -> Runtime:
    """A memory's graph as far as the description of places: model inputs (B, channels, H, W) to
    DESCRIBED (B, D, h, w), scaled. Raises LookupError."""
    asked = onnx.ModelProto()
    asked.CopyFrom(graph)
    del asked.graph.output[:]
    asked.graph.node.append(helper.make_node("Identity", [_described(asked)], [DESCRIBED]))
    asked.graph.output.append(helper.make_tensor_value_info(DESCRIBED, TensorProto.FLOAT, None))
    return runtime_of(asked.SerializeToString(), (DESCRIBED,))


def _described(model: onnx.ModelProto) -> str:
    """The name of what is compared with the memory: the whole, not the fine part of it."""
    nodes = model.graph.node
    made_by = {name: node for node in nodes for name in node.output}
    compared = {
        node.input[0]
        for node in nodes
        if node.op_type == "Conv" and {MEMORY, MEMORY + HALF} & _sources(node.input[1], made_by)
    }
    whole = [name for name in compared if made_by[name].op_type != "Slice"]
    if len(whole) != 1:
        raise LookupError("compares its memory in a way that is not known")
    return whole[0]


def _sources(name: str, made_by: dict[str, Any]) -> set[str]:
    """All that an array of a graph is made from."""
    found, waiting = set(), [name]
    while waiting:
        one = waiting.pop()
        if one not in found:
            found.add(one)
            waiting.extend(made_by[one].input if one in made_by else ())
    return found


def _rows(places: Places) -> Places:
    return np.ascontiguousarray(places.reshape(len(places), -1).T)


def _squares(rows: Places, memory: Places) -> tuple[Places, NDArray[np.intp]]:
    """(P,) squared distance of each row (P, D) to the nearest of the memory (K, D), and which."""
    products = np.square(memory).sum(1) - 2 * (rows @ memory.T)
    which = products.argmin(1)
    nearest = products[np.arange(len(rows)), which] + np.square(rows).sum(1)
    return np.maximum(nearest, 0), which


def _averaged(distance: Places) -> Places:
    """(h, w), each with its neighbours that there are."""
    box = {"ddepth": -1, "ksize": (3, 3), "normalize": False, "borderType": cv2.BORDER_CONSTANT}
    return cv2.boxFilter(distance, **box) / cv2.boxFilter(np.ones_like(distance), **box)
