"""A bundle from good parts that remembers more of them: beside the old one, and otherwise as it is.

Its limit is the old one's, for what was promised of good parts holds: with a larger memory every
place is as near as before or nearer, so hardly any part scores higher. More defective ones may
pass, which has to be measured.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load, save

from defectvision.bundle.card import write_card
from defectvision.bundle.policy import Policy
from defectvision.bundle.reader import BundleError
from defectvision.bundle.schema import (
    FINGERPRINTS_FILE,
    MODEL_FILE,
    PLACES_FILE,
    SEEN_FILE,
    SIGNATURE_FILE,
    WEIGHTS_FILE,
    LoadedBundle,
)
from defectvision.bundle.writer import file_hash, write_about
from defectvision.copies.fingerprints import Fingerprints
from defectvision.copies.keypoints import as_grey, detect
from defectvision.evaluation.seen import DIGITS, fingerprints_of
from defectvision.inference.good_memory import MEMORY, GoodMemory
from defectvision.inference.good_pictures import GoodPictures
from defectvision.inference.images import decode_image
from defectvision.words import counted

SUFFIX = "-plus-"  # between the name of the bundle that was trained and the number of its version
GROWN = "grown"  # of the provenance: its versions since it was trained, the oldest first


@dataclass(frozen=True)
class Photograph:
    """A photograph of a good part that is to be remembered: its name, its file's content, and how
    it is told of in the bundle."""

    name: str
    data: bytes
    said: dict[str, Any]

    @property
    def digest(self) -> str:
        """As SEEN_FILE lists it."""
        return sha256(self.data).hexdigest()[:DIGITS]


def next_name(line_folder: Path, name: str) -> str:
    """The name of the next version of a bundle."""
    root = trained_name(name)
    numbers = [
        int(found[1])
        for other in line_folder.glob(f"{root}{SUFFIX}*")
        if (found := re.fullmatch(rf"{re.escape(root)}{SUFFIX}(\d+)", other.name))
    ]
    return f"{root}{SUFFIX}{max(numbers, default=0) + 1}"


def versions_of(names: Iterable[str], name: str) -> list[str]:
    """Those of a line's bundles that are versions of the same trained one as `name`, the oldest
    first."""
    root = trained_name(name)
    found = [one for one in names if trained_name(one) == root]
    return sorted(
        found, key=lambda one: int(one.removeprefix(f"{root}{SUFFIX}") if one != root else 0)
    )


def trained_name(name: str) -> str:
    """The name of the bundle that was trained, of which `name` is a version."""
    return re.sub(rf"{SUFFIX}\d+$", "", name)


def write_grown(
    base: LoadedBundle,
    photographs: list[Photograph],
    folder: Path,
    policy: Policy,
    limit_pixels: int,
) -> int:
    """Write into `folder` the bundle that remembers the photographs besides, without figures of its
    own, and named as the folder is. policy: which it brings. Returns how many places joined.

    Raises ImageError for a photograph that cannot be read, BundleError where the bundle remembers
    nothing, and where it lacks nothing of the photographs.
    """
    memory = GoodMemory(base)
    looked = [memory.look(one.data, one.name, limit_pixels) for one in photographs]
    joining = memory.lacking(looked)
    if not len(joining.vectors):
        raise BundleError(
            f"{base.bundle.name} remembers places like all of "
            f"{counted(len(photographs), 'photograph')} already, so nothing can be added. If the "
            "part is stopped all the same, look at why: the picture's quality, a rule, or a limit"
        )
    shutil.copytree(base.folder, folder, ignore=shutil.ignore_patterns(SIGNATURE_FILE))
    (folder / MODEL_FILE).write_bytes(memory.grown(joining.vectors))
    weights = folder / WEIGHTS_FILE
    if weights.is_file():
        arrays = load(weights.read_bytes())
        more = joining.vectors.astype(arrays[MEMORY].dtype)
        weights.write_bytes(save(arrays | {MEMORY: np.concatenate([arrays[MEMORY], more])}))
    seen = set((folder / SEEN_FILE).read_text(encoding="ascii").split())
    seen |= {one.digest for one in photographs}
    (folder / SEEN_FILE).write_text("\n".join(sorted(seen)) + "\n", encoding="ascii")
    if FINGERPRINTS_FILE in base.bundle.files:
        prints = _fingerprints(base, photographs, limit_pixels)
        (folder / FINGERPRINTS_FILE).write_bytes(prints.content())
    if (pictures := GoodPictures.of(base.folder)) is not None:
        fresh = joining.pictures
        if not pictures.jpegs:  # the recipe lets it carry none
            fresh = replace(fresh, names={}, jpegs={})
        (folder / PLACES_FILE).write_bytes(pictures.joined(fresh).content())
    about = base.bundle
    version = {
        "from": about.name,
        "version": base.version,
        "caution": about.caution,
        "places": len(joining.vectors),
        "parts": [one.said for one in photographs],
    }
    made = about.provenance | {GROWN: [*about.provenance.get(GROWN, ()), version]}
    about = about.model_copy(
        update={
            "name": folder.name,
            "policy": policy,
            "options": about.options | {"vectors": len(memory.vectors) + len(joining.vectors)},
            "metrics": (),
            "provenance": made,
            "files": {name: file_hash(folder / name) for name in about.files},
        }
    )
    write_about(folder, about)
    write_card(folder, about)
    return len(joining.vectors)


def _fingerprints(
    base: LoadedBundle, photographs: list[Photograph], limit_pixels: int
) -> Fingerprints:
    """The bundle's with those of the photographs, by which a copy of one is known again."""
    found = []
    for one in photographs:
        pixels = decode_image(one.data, one.name, limit_pixels, bits=base.line.bits)
        found.append((one.name, detect(as_grey(pixels))))
    return fingerprints_of(base.folder).joined(Fingerprints.of(found))
