"""What one browser session has: its images, their inspections, the policies in force.

Kept apart from the widgets, which forget their values when their page is left. Nothing here
depends on Streamlit but `current`, so that all of it can be tested without a server.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from defectvision.bundle.policy import Policy, PolicyInForce, Verdict
from defectvision.bundle.schema import LoadedBundle
from defectvision.inference.images import ImageError
from defectvision.inference.sources import clean_name, own_name
from defectvision.web.viewer.pictures import thumbnail

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from defectvision.inference.inspection import Inspection
    from defectvision.inference.inspector import Inspector
    from defectvision.inference.regions import Region
    from defectvision.inference.sources import Upload

# One archive in a session, which keeps its images in memory: larger sets are for a batch.
MOST_ENTRIES, MOST_BYTES = 5_000, 1 << 30


@dataclass(frozen=True)
class Entry:
    """One image that was dropped in, or a file that is none (`error`)."""

    number: int
    name: str
    digest: str = ""
    synthetic: bool = False
    thumbnail: str = ""
    error: ImageError | None = None


@dataclass(frozen=True)
class Result:
    """An entry with its inspection, or with the error that prevented one."""

    entry: Entry
    inspection: Inspection | None
    error: ImageError | None


@dataclass
class Work:
    """Everything of one session. Images belong to the line they were dropped into; inspections
    to an image's content and a bundle's version, so nothing is inferred twice."""

    entries: dict[str, list[Entry]] = field(default_factory=dict)
    content: dict[str, bytes] = field(default_factory=dict)
    waiting: dict[str, list[tuple[str, bytes]]] = field(default_factory=dict)
    opening: dict[str, Iterator[Upload]] = field(default_factory=dict)
    names: dict[str, set[str]] = field(default_factory=dict)
    found: dict[tuple[str, str], Inspection | ImageError] = field(default_factory=dict)
    heatmaps: dict[tuple[str, str, str, str], NDArray[np.float32]] = field(default_factory=dict)
    policies: dict[tuple[str, str], Policy] = field(default_factory=dict)
    for_everyone: dict[tuple[str, str], PolicyInForce] = field(default_factory=dict)
    measured: dict[tuple[str, str], tuple[tuple, tuple[Region, ...]]] = field(default_factory=dict)
    opened: dict[str, int] = field(default_factory=dict)
    numbers: int = 0
    sample_seed: int = 0

    # --- images --------------------------------------------------------------------------

    def queue(self, line: str, files: Iterable[tuple[str, bytes]]) -> None:
        """Files as they were dropped in, to be opened by `take_in`."""
        self.waiting.setdefault(line, []).extend(files)

    def take_in(self, line: str, limit_pixels: int) -> Iterator[int]:
        """Open what waits, archives too; yields how many images came so far. A file that cannot
        be used becomes an entry with its error. The first new image is opened. It can be broken
        off and called again."""
        from defectvision.inference.sources import Limits, expand_uploads

        waiting = self.waiting.setdefault(line, [])
        known = self.entries.setdefault(line, [])
        before, opened = len(known), False
        while True:
            # The archive being opened outlives a script run that is broken off.
            for upload in self.opening.get(line, ()):
                data, error = upload.data, upload.error
                known.append(self._entry(line, upload.name, data, error, limit_pixels))
                if not opened and known[-1].error is None:
                    self.opened[line], opened = known[-1].number, True
                yield len(known) - before
            self.opening.pop(line, None)
            if not waiting:
                return
            self.opening[line] = iter(
                expand_uploads([waiting.pop(0)], Limits(MOST_ENTRIES, total_bytes=MOST_BYTES))
            )

    def _entry(
        self,
        line: str,
        name: str,
        data: bytes | None,
        error: ImageError | None,
        limit_pixels: int,
    ) -> Entry:
        from defectvision.data.synthetic.samples import is_synthetic

        self.numbers += 1
        name = own_name(clean_name(name), self.names.setdefault(line, set()))
        if error is None and data is not None:
            try:
                small = thumbnail(data, name, limit_pixels)
            except ImageError as refused:
                error = refused
            else:
                digest = hashlib.sha256(data).hexdigest()
                self.content[digest] = data
                return Entry(self.numbers, name, digest, is_synthetic(data), small)
        if error is None:
            error = ImageError(name, "an empty file", "Copy or export the image again.")
        return Entry(self.numbers, name, error=ImageError(name, error.reason, error.remedy))

    def clear(self, line: str) -> None:
        """Forget the images of a line and all that was found in them."""
        self.entries.pop(line, None)
        for of_lines in (self.waiting, self.opening, self.opened, self.names):
            of_lines.pop(line, None)
        digests = {e.digest for entries in self.entries.values() for e in entries}
        self.content = {d: data for d, data in self.content.items() if d in digests}
        self.found = {key: v for key, v in self.found.items() if key[0] in digests}
        self.heatmaps = {key: v for key, v in self.heatmaps.items() if key[0] in digests}
        self.measured = {key: v for key, v in self.measured.items() if key[0] in digests}

    # --- inspections ---------------------------------------------------------------------

    def pending(self, line: str, version: str) -> list[str]:
        """Digests of the line's images that this bundle has not seen, each once."""
        digests = (e.digest for e in self.entries.get(line, []) if e.error is None)
        return [d for d in dict.fromkeys(digests) if (d, version) not in self.found]

    def inspect(self, line: str, inspector: Inspector) -> Iterator[int]:
        """Inspect what is pending; yields how many are done after each image. It can be broken
        off at any time: what was yielded is kept."""
        version = inspector.loaded.version
        digests = self.pending(line, version)
        files = ((digest, self.content[digest]) for digest in digests)
        answers = inspector.inspect_many(files)
        for done, (digest, answer) in enumerate(zip(digests, answers, strict=True), 1):
            self.found[digest, version] = answer
            yield done

    def results(self, line: str, version: str) -> list[Result]:
        """The line's images in the order they came, each with its own name."""
        results = []
        for entry in self.entries.get(line, []):
            answer = self.found.get((entry.digest, version))
            if entry.error is not None:
                results.append(Result(entry, None, entry.error))
            elif isinstance(answer, ImageError):
                own = ImageError(entry.name, answer.reason, answer.remedy)
                results.append(Result(entry, None, own))
            elif answer is not None:
                results.append(Result(entry, replace(answer, name=entry.name), None))
        return results

    def regions(self, result: Result, policy: Policy) -> tuple[Region, ...]:
        """The regions of an inspected image, measured again only where the policy cuts them
        otherwise; a new scale only relabels them."""
        found = result.inspection
        if found is None or found.masks is None:
            return ()
        key = (result.entry.digest, found.bundle_version)
        cut = (policy.smallest_region_px, *map(policy.mask_threshold, found.mask_classes))
        if self.measured.get(key, ((), ()))[0] != cut:
            self.measured[key] = cut, found.regions(policy)
        regions = self.measured[key][1]
        if regions and regions[0].mm_per_px != policy.mm_per_px:
            regions = tuple(replace(region, mm_per_px=policy.mm_per_px) for region in regions)
            self.measured[key] = cut, regions
        return regions

    # --- the open image ------------------------------------------------------------------

    def open_result(self, line: str, results: list[Result]) -> Result | None:
        """The inspected image that is open: the chosen one, else the first."""
        usable = [r for r in results if r.inspection is not None]
        number = self.opened.get(line)
        return next((r for r in usable if r.entry.number == number), usable[0] if usable else None)

    def step(self, line: str, results: list[Result], by: int) -> None:
        """Open the image `by` places on; stays at the ends."""
        numbers = [r.entry.number for r in results if r.inspection is not None]
        current = self.open_result(line, results)
        if current is not None:
            place = numbers.index(current.entry.number) + by
            self.opened[line] = numbers[min(max(place, 0), len(numbers) - 1)]

    # --- policy --------------------------------------------------------------------------

    def policy(self, loaded: LoadedBundle) -> Policy:
        """What this session judges by: its own policy, else the one in force."""
        return self.policies.get(_whose(loaded), self.in_force(loaded).policy)

    def in_force(self, loaded: LoadedBundle) -> PolicyInForce:
        """The policy in force as the store last gave it; the bundle's own where it gave none."""
        return self.for_everyone.get(_whose(loaded), PolicyInForce(loaded.bundle.policy))

    def know(self, loaded: LoadedBundle, policy: PolicyInForce) -> None:
        """Take over which policy is in force, as the store gives it."""
        self.for_everyone[_whose(loaded)] = policy

    def set_policy(self, loaded: LoadedBundle, policy: Policy) -> None:
        self.policies[_whose(loaded)] = policy

    def reset_policy(self, loaded: LoadedBundle) -> None:
        self.policies.pop(_whose(loaded), None)

    def change_policy(self, loaded: LoadedBundle, **changes: Any) -> None:
        """Set fields of the policy in force and keep the others; raises ValidationError."""
        now = self.policy(loaded)
        self.set_policy(loaded, Policy.model_validate({**now.model_dump(), **changes}))

    def set_class_value(self, loaded: LoadedBundle, name: str, of: str, value: float) -> None:
        """Set the threshold of class `of` in the field `name` of the policy in force."""
        values = {**getattr(self.policy(loaded), name), of: min(max(value, 0.0), 1.0)}
        self.change_policy(loaded, **{name: values})

    def set_threshold(self, loaded: LoadedBundle, name: str, value: float) -> None:
        """Move one threshold; the other one gives way where they would cross."""
        now = self.policy(loaded)
        value = min(max(value, 0.0), 1.0)
        if name == "accept_below":
            changed = {"accept_below": value, "reject_above": max(value, now.reject_above)}
        else:
            changed = {"accept_below": min(value, now.accept_below), "reject_above": value}
        self.change_policy(loaded, **changed)


def _whose(loaded: LoadedBundle) -> tuple[str, str]:
    return loaded.line.name, loaded.bundle.name


def count_verdicts(results: Iterable[Result], policy: Policy) -> dict[Verdict, int]:
    """How many images get which verdict under `policy`."""
    counts = dict.fromkeys(Verdict, 0)
    for result in results:
        if result.inspection is not None:
            counts[result.inspection.verdict(policy)] += 1
    return counts


def file_stem(name: str) -> str:
    """A file name for a download, from a hostile one: letters, digits, '_', '.', '-'."""
    stem = re.sub(r"[^A-Za-z0-9_.-]+", "_", PurePosixPath(name).stem).strip("._")
    return stem[:80] or "image"


def current() -> Work:
    """The work of the session that runs this script."""
    import streamlit as st

    if "work" not in st.session_state:
        st.session_state["work"] = Work()
    return st.session_state["work"]
