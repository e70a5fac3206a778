"""Images of one part: those that say so, and near-copies."""

import cv2
import numpy as np

from defectvision.audit.photo_groups import photo_groups
from defectvision.copies.keypoints import extract
from defectvision.inference.images import decode_image
from tests.stand_ins.castings import casting


def test_named_parts_and_near_copies_are_joined() -> None:
    seen = [decode_image(casting("def", seed), "a.png") for seed in (3, 4, 5, 6)]
    turned = cv2.rotate(seen[0], cv2.ROTATE_90_CLOCKWISE)
    pictures = [
        extract(image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2GRAY))
        for image in (*seen, turned)
    ]
    digests = [str(i) for i in range(5)]
    groups = photo_groups(["", "left", "left", "", ""], digests, pictures)
    assert groups[0] == groups[4] and groups[1] == groups[2]
    assert len(np.unique(groups)) == 3
    assert len(photo_groups([], [], [])) == 0
