"""What one image gave under one bundle: raw scores, maps, and how the image was placed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from defectvision.bundle.line import Line
from defectvision.bundle.policy import Policy
from defectvision.inference.frame import Frame
from defectvision.inference.gate import Objection
from defectvision.inference.judged import Decision, Judged
from defectvision.inference.masks import ClassAreas, class_areas, mask_of
from defectvision.inference.regions import Cut, Region, cut_masks


@dataclass(frozen=True)
class Milliseconds:
    """Where the time of one inspection went."""

    decode: float
    model: float
    total: float


@dataclass(frozen=True)
class Inspection(Judged):
    """One image under one bundle: raw scores; verdict and label come from a policy.

    frame: how the model's input lies on the image; logits: (C,) float32; evidence: (C, h, w)
    float32, whose mean over places plus `evidence_bias` (C,) is the logit; foreign_score: distance
    from the training images, above 1 where the image does not look like this line; objections:
    what speaks against any verdict, that score among it; inside: (H, W)
    bool, the px of the model's input on the part; masks: (K, h, w) uint8, probability x 255 of
    each of `mask_classes` on a grid spread over the model's input, None where the model does not
    segment; thumbnail: a small JPEG, empty unless it was asked for; pixels: the decoded image
    (H, W) or (H, W, 3) RGB uint8 where it was asked for and was not reduced while decoding;
    decision: of people, where there is one.
    """

    name: str
    line: Line
    bundle_version: str
    frame: Frame
    logits: NDArray[np.float32]
    probabilities: dict[str, float]
    defect_score: float | None
    foreign_score: float
    evidence: NDArray[np.float32]
    evidence_bias: NDArray[np.float32]
    inside: NDArray[np.bool_]
    part_found: bool
    milliseconds: Milliseconds
    masks: NDArray[np.uint8] | None = None
    mask_classes: tuple[str, ...] = ()
    thumbnail: bytes = b""
    pixels: NDArray[np.uint8] | None = None
    objections: tuple[Objection, ...] = ()
    decision: Decision | None = None

    @property
    def times(self) -> dict[str, float]:
        return vars(self.milliseconds)

    @property
    def image_size(self) -> tuple[int, int]:
        """(height, width) of the image, px."""
        return self.frame.image_size

    @property
    def mask_grids(self) -> dict[str, NDArray[np.uint8]]:
        """By class its (h, w) part of `masks`; empty where the model does not segment."""
        if self.masks is None:
            return {}
        return dict(zip(self.mask_classes, self.masks, strict=True))

    def cut(self, policy: Policy) -> Cut:
        """The areas and regions that the policy leaves of the masks; empty without masks. Who
        needs both, or either twice, asks once and hands it on: it takes longer than all else that
        is done with an inspection."""
        return cut_masks(self.mask_grids, self.frame, policy)

    def regions(self, policy: Policy) -> tuple[Region, ...]:
        return self.cut(policy).regions

    def class_areas(self, class_name: str, policy: Policy) -> ClassAreas | None:
        """See `masks.class_areas`. Raises ValueError where the model has no mask of the class."""
        grid = self.mask_grids.get(class_name)
        if grid is None:
            known = ", ".join(self.mask_grids) or "none"
            raise ValueError(f"the bundle has no mask of class '{class_name}'; it has: {known}")
        return class_areas(grid, self.frame, class_name, policy)

    def class_mask(self, class_name: str, policy: Policy) -> NDArray[np.bool_]:
        """(H, W) bool: the px of the image that the policy counts to the class; errors as
        `class_areas`."""
        return mask_of(self.class_areas(class_name, policy), self.image_size)

    def evidence_on_image(self, class_name: str) -> NDArray[np.float32]:
        """(H, W) float32: what each place of the image adds to the class's logit, drawn
        smoothly from the model's grid. Nothing is added outside the model's view."""
        return self.frame.on_image(self.evidence[self.line.class_names.index(class_name)])

    def evidence_inside(self, class_name: str) -> float | None:
        """Share of the class's positive evidence that lies on the part; None without any."""
        index = self.line.class_names.index(class_name)
        positive = np.maximum(self.evidence[index], 0)
        rows, columns = positive.shape
        blocks = self.inside[
            : self.inside.shape[0] // rows * rows, : self.inside.shape[1] // columns * columns
        ]
        cover = blocks.reshape(rows, blocks.shape[0] // rows, columns, -1).mean((1, 3))
        total = float(positive.sum())
        return float((positive * cover).sum()) / total if total > 0 else None
