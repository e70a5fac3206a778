"""Uploaded photographs: decoded before they are accepted, kept under names of their content."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from defectvision import atomic
from defectvision.data.image_names import IMAGE_SUFFIXES
from defectvision.inference.image_error import ImageError
from defectvision.inference.images import decode_image
from defectvision.inference.sources import Limits, Upload, clean_name, expand_uploads, images_below
from defectvision.roots import below_a_root, refuse_leading_out, root_of
from defectvision.web.new_line.runs import Photographs, Run

MOST = 5000  # of one run
OTHER_SUFFIX = ".png"  # of a file that is named as no image; readers look at its content


@dataclass
class Intake:
    """What was dropped in and is not looked at yet; an archive that is half read goes on."""

    waiting: list[tuple[str, bytes]] = field(default_factory=list)
    opening: Iterator[Upload] | None = None

    def take_in(self, run: Run, limit_pixels: int, tell: Callable[[int], None]) -> None:
        """Keep what waits in the run, and `tell` after each file how many were looked at. `tell`
        may break it off, by raising anything: called again, it goes on. Raises OSError."""
        known = run.photographs().names
        names: dict[str, str] = {}
        refused: list[str] = []
        again: list[str] = []
        done = 0
        try:
            while self.waiting or self.opening is not None:
                if self.opening is None:
                    self.opening = expand_uploads([self.waiting[0]], Limits(MOST))
                upload = next(self.opening, None)
                if upload is None:
                    self.opening = None
                    self.waiting.pop(0)
                    continue
                try:
                    file = _kept(upload, run.images, len(known) + len(names), limit_pixels)
                except ImageError as error:
                    refused.append(str(error))
                else:
                    if file in known or file in names:
                        again.append(clean_name(upload.name))
                    else:
                        names[file] = clean_name(upload.name)
                done += 1
                tell(done)
        finally:
            now = run.photographs()  # with what came in through another window meanwhile
            run.keep(
                Photographs(
                    names={**now.names, **names},
                    refused=(*now.refused, *refused),
                    again=(*now.again, *again),
                )
            )


def _kept(upload: Upload, folder: Path, count: int, limit_pixels: int) -> str:
    """The name under which a photograph is kept; raises ImageError and OSError."""
    name = clean_name(upload.name)
    if upload.error is not None:
        raise ImageError(name, upload.error.reason, upload.error.remedy)
    data = upload.data or b""
    suffix = PurePosixPath(name).suffix.lower()
    file = f"{hashlib.sha256(data).hexdigest()[:20]}"
    file += suffix if suffix in IMAGE_SUFFIXES else OTHER_SUFFIX
    if (folder / file).is_file():
        return file
    if count >= MOST:
        raise ImageError(name, f"not kept: {MOST:,} photographs are here already", "Start with it.")
    decode_image(data, name, limit_pixels)
    atomic.write_bytes(folder / file, data)
    return file


def allowed_folder(given: Path, roots: Iterable[Path]) -> tuple[Path, int]:
    """A folder of the server that may be learned from, and how many images lie in it and below.
    Raises NotAllowedError and OSError."""
    roots = tuple(roots)
    found = below_a_root(given, roots)
    if not found.is_dir():
        raise NotADirectoryError(20, "no such folder", str(found))
    refuse_leading_out(found, roots)
    return found, len(images_below(found, root=root_of(found, roots, given)))


def by_names(run: Run, text: str) -> str:
    """What the program says of files, by the names that they came with and without the folder."""
    text = text.replace(f"{run.data}/", "")
    for file, name in run.photographs().names.items():
        text = text.replace(file, name)
    return text


def leave_out(run: Run, files: Iterable[str]) -> None:
    """Take these files from the photographs of a run. Raises OSError."""
    kept = run.photographs()
    gone = set(files) & set(kept.names)
    run.keep(
        kept.model_copy(update={"names": {f: n for f, n in kept.names.items() if f not in gone}})
    )
    for file in gone:
        (run.images / file).unlink(missing_ok=True)
