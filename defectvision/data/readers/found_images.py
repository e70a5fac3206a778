"""Where the images are that an export names.

Tools write the names of their own machine: with folders in front, absolute, with backslashes,
percent signs, in another case or another Unicode form. A name is matched with the files that are
there by as many of its last parts as agree, but for a file that lies elsewhere than in the folder
it names, where that is there: `good/002.png` is missing, and `crack/002.png` is another part. No
file outside the opened folder is ever named.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath
from urllib.parse import unquote

from defectvision.data.catalog import CatalogError
from defectvision.data.image_names import is_image_name

# Where exports keep their images, as they are named in the messages.
IMAGE_FOLDERS = ("", "images", "data", "train", "valid", "val", "test", "train2017", "val2017")


def listed_images(root: Path) -> list[str]:
    """The image files in `root` and below, as posix paths relative to it, sorted."""
    return sorted(
        str(folder / name)
        for folder, _, files in walk(root)
        for name in files
        if is_image_name(name)
    )


def walk(
    root: Path, refuse: Callable[[OSError], None] | None = None
) -> Iterator[tuple[PurePosixPath, list[str], list[str]]]:
    """Each folder in `root` and below, relative to it, with the names of its folders and files;
    hidden folders and links that point upwards aside. refuse: gets the error of a folder that
    cannot be read, which is passed over without it."""
    seen: set[tuple[int, int]] = set()
    for here, folders, files in os.walk(root, onerror=refuse, followlinks=True):
        status = Path(here).stat()
        if (status.st_dev, status.st_ino) in seen:  # a link that points upwards
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        folders[:] = sorted(f for f in folders if not f.startswith(".") and f != "__MACOSX")
        yield PurePosixPath(Path(here).relative_to(root).as_posix()), folders, files


def relative_parts(name: str) -> tuple[str, ...]:
    """The parts of a foreign name, without drive, scheme, query and root."""
    text = name.replace("\\", "/")
    if query := re.search(r"[?&]d=([^&]+)$", text):  # Label Studio's local files
        text = query[1]
    text = re.sub(r"^[a-z][a-z0-9+.-]+://[^/]*", "", text, flags=re.IGNORECASE)
    text = text[len(PureWindowsPath(text).drive) :] if PureWindowsPath(text).drive else text
    return tuple(part for part in PurePosixPath(text).parts if part not in ("/", "//", "."))


class FoundImages:
    """The images below a folder, by the names that others gave them.

    near: the folder that names are relative to, where it is another one inside `root`.
    """

    def __init__(self, root: Path, near: Path | None = None, files: Sequence[str] | None = None):
        self.root = root
        self.near = near.relative_to(root).as_posix() if near is not None else "."
        self.files = list(files) if files is not None else listed_images(root)
        self._exact = set(self.files)
        # By the name alone, and with its folder: where each part has a folder of its own, all
        # files may have one name.
        self._by_name: dict[tuple[str, ...], list[tuple[str, tuple[str, ...]]]] = {}
        self._folders: set[str] = set()
        for file in self.files:
            parts = tuple(plain(part) for part in PurePosixPath(file).parts)
            for last in {parts[-1:], parts[-2:]}:
                self._by_name.setdefault(last, []).append((file, parts))
            self._folders.update(parts[:-1])

    def find(self, name: str) -> str | None:
        """The path below `root` of the image that an export calls `name`, None where it is not
        there. Raises CatalogError where several files fit as well, naming two."""
        parts = relative_parts(name)
        if not parts:
            return None
        here = [
            str(path)
            for folder in dict.fromkeys((self.near, *IMAGE_FOLDERS))
            if str(path := PurePosixPath(folder, *parts)) in self._exact
        ]
        if len(set(here)) == 1:
            return here[0]
        readings = dict.fromkeys((parts, relative_parts(unquote(name))))
        fits = {file: length for reading in readings for file, length in self._fits(reading)}
        if not fits:
            return None
        most = max(fits.values())
        best = here or sorted(file for file, length in fits.items() if length == most)
        if len(best) > 1:
            spelled = [f for f in best if PurePosixPath(f).name == parts[-1]]
            best = spelled if not here and len(spelled) == 1 else best
        if len(best) > 1:
            raise CatalogError(
                f"{self.root}: {name!r} may be {best[0]} or {best[1]}. Write the folder into the "
                "name, or move one of the two away."
            )
        return best[0]

    def named(self, name: str) -> list[str]:
        """The paths of all images that are called `name`, in any case and Unicode form."""
        return [file for file, _ in self._by_name.get((plain(name),), [])]

    def _fits(self, parts: tuple[str, ...]) -> list[tuple[str, int]]:
        """Files with the same last two parts, else with the same last one, and how many of the last
        parts agree; without those that do not lie in the first folder that differs, where a folder
        is called so, unless all of their path agrees."""
        wanted = tuple(plain(part) for part in parts)
        for last in dict.fromkeys((wanted[-2:], wanted[-1:])):
            found = []
            for file, there in self._by_name.get(last, []):
                pairs = zip(reversed(there), reversed(wanted), strict=False)
                same = next((i for i, (a, b) in enumerate(pairs) if a != b), None)
                same = min(len(there), len(wanted)) if same is None else same
                named = wanted[-1 - same] if same < len(wanted) else ""
                whole = 1 < len(there) == same
                if whole or named not in self._folders or named in there:
                    found.append((file, same))
            if found:
                return found
        return []


def plain(part: str) -> str:
    """A name as it is compared: in any case and Unicode form."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", part).casefold())
