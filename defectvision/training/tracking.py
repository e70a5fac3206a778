"""What a tracker shows of a training: its figures, and a few validation images as it sees them."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import torch
from accelerate import Accelerator
from numpy.typing import NDArray
from PIL import ImageColor
from torch import nn
from torch.nn import functional

from defectvision.training.dataset import PlacedImages

SHOWN_IMAGES = 4


def track_epoch(
    accelerator: Accelerator, row: dict[str, Any], model: nn.Module, images: PlacedImages
) -> None:
    """Log the numbers of an epoch, and example overlays where masks are learned."""
    if not accelerator.trackers:
        return
    epoch = row["epoch"]
    accelerator.log({k: v for k, v in row.items() if v is not None and k != "epoch"}, step=epoch)
    if images.mask_classes and accelerator.is_main_process:
        shown = overlays(model, images)
        for tracker in accelerator.trackers if len(shown) else ():
            order = {"dataformats": "NHWC"} if tracker.name == "tensorboard" else {}
            tracker.log_images({"val/truth above, answer below": shown}, step=epoch, **order)


def overlays(model: nn.Module, images: PlacedImages) -> NDArray[np.uint8]:
    """(N, 2H, W, 3) uint8: the first defective images with the true mask above, the model's
    below, each outlined in its class's colour."""
    defective = [i for i in range(len(images)) if images.images.catalog.table["label"][i]]
    chosen = [i for i in defective if images.marked(i).masks.any()][:SHOWN_IMAGES]
    colours = {c.name: c.colour for c in images.line.classes}
    drawn = []
    was_training = model.training
    model.eval()
    for index in chosen:
        example, placed = images[index], images.marked(index).placed
        device = next(model.parameters()).device
        with torch.inference_mode():
            masks = model(example.image[None].to(device)).masks.float()
        full = functional.interpolate(masks, size=example.image.shape[1:], mode="bilinear")
        answer = (full[0] > 0).cpu().numpy()
        halves = []
        for found in (example.masks.numpy(), answer):
            picture = np.atleast_3d(placed.pixels).repeat(
                3 // np.atleast_3d(placed.pixels).shape[2], 2
            )
            for name, mask in zip(images.mask_classes, found, strict=True):
                outlines, _ = cv2.findContours(
                    mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE
                )
                rgb = ImageColor.getrgb(colours[name])
                picture = cv2.drawContours(picture.copy(), outlines, -1, rgb, 1)
            halves.append(picture)
        drawn.append(np.concatenate(halves))
    model.train(was_training)
    empty = np.zeros((0, 2 * images.preprocessing.height, images.preprocessing.width, 3), np.uint8)
    return np.stack(drawn) if drawn else empty
