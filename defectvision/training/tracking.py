"""What is shown of a training while it runs: its figures, and a few validation images as it sees
them, for a tracker and beside its progress."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass
from itertools import chain, islice, zip_longest
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from accelerate import Accelerator
from numpy.typing import NDArray
from PIL import ImageColor
from torch import nn
from torch.nn import functional

from defectvision import atomic
from defectvision.inference.probabilities import tempered
from defectvision.training.dataset import PlacedImages

SHOWN_IMAGES = 4
LOOKED_AT = 40  # images of a label, for one whose defect is marked
EXAMPLES = "examples"  # in the run's folder: pictures, and in examples.json what they show
SNAPSHOTS = 6  # epochs of a training whose examples are kept
SIDE, WIDE = 320, 2.0  # px of an example's longer side; a strip is wider than this
GAP = 4  # px between the two pictures of an example


@dataclass(frozen=True, eq=False)
class Shown:
    """A validation image as the model sees it now: index; truth and said: names of classes;
    probability: of what is said; masks, answers: (K, H, W) bool, empty where none are learned."""

    index: int
    truth: tuple[str, ...]
    said: tuple[str, ...]
    probability: float
    masks: NDArray[np.bool_]
    answers: NDArray[np.bool_]


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
    """(N, 2H, W, 3) uint8: examples with the true mask above, the model's below, each outlined in
    its class's colour."""
    how = images.preprocessing
    drawn = [
        np.concatenate(
            [
                outlined(images, one.index, masks, max(how.height, how.width), 1)
                for masks in (one.masks, one.answers)
            ]
        )
        for one in examples(model, images)
    ]
    return np.stack(drawn) if drawn else np.zeros((0, 2 * how.height, how.width, 3), np.uint8)


def write_examples(
    run: Path, epoch: int, epochs: int, model: nn.Module, images: PlacedImages
) -> None:
    """Every few of the `epochs`, and after the last one, put examples beside the run's progress:
    what is true on the left (of a strip above), what the model says on the right. Those of
    SNAPSHOTS epochs are kept."""
    if epoch % max(1, epochs // (SNAPSHOTS - 1)) and epoch != epochs:
        return
    folder = run / EXAMPLES
    folder.mkdir(exist_ok=True)
    how = images.preprocessing
    wide = how.width > WIDE * how.height
    told = []
    for number, one in enumerate(examples(model, images)):
        kinds = (one.masks, one.answers) if images.mask_classes else (one.masks,)
        pictures = [
            outlined(images, one.index, masks, SIDE * (2 if wide else 1), 2) for masks in kinds
        ]
        height, width = pictures[0].shape[:2]
        bar = np.full((GAP, width, 3) if wide else (height, GAP, 3), 255, np.uint8)
        joined = pictures[0]
        for picture in pictures[1:]:
            joined = np.concatenate([joined, bar, picture], axis=0 if wide else 1)
        file = f"{epoch:05d}-{number}.png"
        png = cv2.imencode(".png", cv2.cvtColor(joined, cv2.COLOR_RGB2BGR))[1]
        atomic.write_bytes(folder / file, png.tobytes())
        told.append(
            {
                "file": file,
                "name": str(images.images.catalog.table["path"].iloc[one.index]),
                "truth": images.line.titles(one.truth),
                "said": images.line.titles(one.said),
                "right": set(one.truth) == set(one.said),
                "probability": round(one.probability, 4),
            }
        )
    listed = run / f"{EXAMPLES}.json"
    kept = json.loads(listed.read_bytes()) if listed.is_file() else []
    kept = [row for row in kept if row["epoch"] != epoch][1 - SNAPSHOTS :]
    kept.append({"epoch": epoch, "masks": bool(images.mask_classes), "images": told})
    atomic.write_text(listed, json.dumps(kept))
    named = {one["file"] for row in kept for one in row["images"]}
    for passed in folder.glob("*.png"):
        if passed.name not in named:
            passed.unlink()


def examples(model: nn.Module, images: PlacedImages) -> list[Shown]:
    """What the model says of SHOWN_IMAGES images at most, the same ones at each call."""
    was_training = model.training
    model.eval()
    found = [_asked(model, images, index) for index in _chosen(images)]
    model.train(was_training)
    return found


@torch.inference_mode()
def _asked(model: nn.Module, images: PlacedImages, index: int) -> Shown:
    example, line = images[index], images.line
    device = next(model.parameters()).device
    answer = model(example.image[None].to(device))
    values = tempered(answer.logits[0].float().cpu().numpy(), 1.0, line)
    target = np.atleast_1d(images.targets[index])
    if line.label_mode == "multilabel":
        truth, said = target > 0, values > 0.5
        # As sure as of the least sure class.
        probability = float(np.where(said, values, 1 - values).min())
    else:
        truth, said = (np.arange(len(values)) == place for place in (target[0], values.argmax()))
        probability = float(values.max())
    answers = np.zeros((0, *example.image.shape[1:]), bool)
    if images.mask_classes:
        masks = answer.masks.float()
        full = functional.interpolate(masks, size=example.image.shape[1:], mode="bilinear")
        answers = (full[0] > 0).cpu().numpy()
    names = np.array(line.class_names)
    return Shown(
        index,
        tuple(names[truth].tolist()),
        tuple(names[said].tolist()),
        probability,
        example.masks.numpy(),
        answers,
    )


def _chosen(images: PlacedImages) -> list[int]:
    """Images of as many labels as there are, defects first; of each label those first whose defect
    is marked."""
    by_label: dict[str, list[int]] = defaultdict(list)
    for index, label in enumerate(images.images.catalog.table["label"]):
        by_label[label].append(index)
    good = {"", *images.line.good_names}
    ordered = []
    for label in sorted(by_label, key=lambda label: (label in good, label)):
        some = by_label[label]
        if images.mask_classes and label not in good:
            looked = some[:LOOKED_AT]
            some = sorted(looked, key=lambda index: not images.marked(index).masks.any())
        ordered.append(some)
    turns = chain.from_iterable(zip_longest(*ordered))
    return list(islice((index for index in turns if index is not None), SHOWN_IMAGES))


def outlined(
    images: PlacedImages, index: int, masks: NDArray[np.bool_], side: int, thick: int
) -> NDArray[np.uint8]:
    """(h, w, 3) uint8 RGB: an image as the model gets it, its longer side at most `side` px, with
    `masks` (K, H, W) outlined `thick` px."""
    pixels = images.marked(index).placed.pixels
    picture = pixels if pixels.ndim == 3 else cv2.cvtColor(pixels, cv2.COLOR_GRAY2RGB)
    factor = min(1.0, side / max(picture.shape[:2]))
    size = (max(1, round(picture.shape[1] * factor)), max(1, round(picture.shape[0] * factor)))
    picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    colours = {c.name: c.colour for c in images.line.classes}
    for name, mask in zip(images.mask_classes, masks, strict=False):
        small = cv2.resize(mask.astype(np.uint8), size, interpolation=cv2.INTER_AREA)
        found, _ = cv2.findContours(small, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        rgb = ImageColor.getrgb(colours[name])
        picture = cv2.drawContours(picture, found, -1, rgb, thick)
    return picture
