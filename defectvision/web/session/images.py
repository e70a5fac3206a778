"""The images that were dropped into a session, and what was found in them.

Nothing here depends on Streamlit, so that all of it can be tested without a server.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from defectvision.bundle.policy import Policy, Verdict
from defectvision.inference.decode_memory import BusyError
from defectvision.inference.images import ImageError
from defectvision.inference.passed_over import PassedOver
from defectvision.inference.sources import clean_name, own_name
from defectvision.web.viewer.pictures import Pictures

if TYPE_CHECKING:
    from defectvision.inference.inspection import Inspection
    from defectvision.inference.inspector import Inspector
    from defectvision.inference.sources import Upload

# Of a session, which keeps its images in memory: larger sets are for a batch.
MOST_ENTRIES, MOST_BYTES = 5_000, 1 << 30
TOO_MUCH = f"not kept, as this session holds {MOST_BYTES >> 30} GiB of images"


@dataclass(frozen=True)
class Entry:
    """One file that was dropped in, or one that could not be opened (`error`)."""

    number: int
    name: str
    digest: str = ""
    synthetic: bool = False
    error: ImageError | None = None


@dataclass(frozen=True)
class Result:
    """An entry with its inspection, or with the error that prevented one."""

    entry: Entry
    inspection: Inspection | None
    error: ImageError | None


@dataclass
class Images:
    """All images of a session. They belong to the line that they were dropped into; inspections
    to an image's content and a bundle's version, so that nothing is inferred twice.

    content: files by digest; inspections: by digest and bundle version; opened: by line the number
    of the entry in the viewer; arrived: by line the first entry that came last, until it is opened;
    passed_over: by line the files of archives that are no images; held: bytes of `content`.
    """

    entries: dict[str, list[Entry]] = field(default_factory=dict)
    content: dict[str, bytes] = field(default_factory=dict)
    waiting: dict[str, list[tuple[str, bytes]]] = field(default_factory=dict)
    opening: dict[str, Iterator[Upload]] = field(default_factory=dict)
    names: dict[str, set[str]] = field(default_factory=dict)
    inspections: dict[tuple[str, str], Inspection] = field(default_factory=dict)
    opened: dict[str, int] = field(default_factory=dict)
    arrived: dict[str, int] = field(default_factory=dict)
    passed_over: dict[str, PassedOver] = field(default_factory=dict)
    numbers: int = 0
    held: int = 0

    def queue(self, line: str, files: Iterable[tuple[str, bytes]]) -> None:
        """Files as they were dropped in, to be opened by `take_in`."""
        self.waiting.setdefault(line, []).extend(files)

    def take_in(self, line: str) -> Iterator[int]:
        """Open what waits, archives too; yields how many images came so far. A file that cannot
        be opened becomes an entry with its error; none is decoded. It can be broken off and
        called again."""
        from defectvision.inference.sources import Limits, expand_uploads

        waiting = self.waiting.setdefault(line, [])
        known = self.entries.setdefault(line, [])
        before = len(known)
        if waiting:
            self.arrived[line] = self.numbers + 1
        while True:
            # The archive being opened outlives a script run that is broken off.
            for upload in self.opening.get(line, ()):
                known.append(self._entry(line, upload))
                yield len(known) - before
            self.opening.pop(line, None)
            if not waiting:
                return
            limits = Limits(MOST_ENTRIES, total_bytes=MOST_BYTES)
            passed_over = self.passed_over.setdefault(line, PassedOver())
            self.opening[line] = iter(expand_uploads([waiting.pop(0)], limits, passed_over))

    def _entry(self, line: str, upload: Upload) -> Entry:
        from defectvision.data.synthetic.samples import is_synthetic

        self.numbers += 1
        name = own_name(clean_name(upload.name), self.names.setdefault(line, set()))
        if upload.error is not None:
            own = ImageError(name, upload.error.reason, upload.error.remedy)
            return Entry(self.numbers, name, error=own)
        data = upload.data or b""
        digest = hashlib.sha256(data).hexdigest()
        if digest not in self.content:
            if self.held + len(data) > MOST_BYTES:
                own = ImageError(name, TOO_MUCH, "Remove images here, or start a batch.")
                return Entry(self.numbers, name, error=own)
            self.held += len(data)
        self.content[digest] = data
        return Entry(self.numbers, name, digest, is_synthetic(data))

    def clear(self, line: str) -> None:
        """Forget the images of a line and all that was found in them."""
        self.entries.pop(line, None)
        self.passed_over.pop(line, None)
        for of_lines in (self.waiting, self.opening, self.opened, self.arrived, self.names):
            of_lines.pop(line, None)
        digests = {e.digest for entries in self.entries.values() for e in entries}
        self.content = {d: data for d, data in self.content.items() if d in digests}
        self.inspections = {key: v for key, v in self.inspections.items() if key[0] in digests}
        self.held = sum(map(len, self.content.values()))

    def pending(self, line: str, version: str) -> list[str]:
        """Digests of the line's images that this bundle has not seen, each once."""
        digests = (e.digest for e in self.entries.get(line, []) if e.error is None)
        return [d for d in dict.fromkeys(digests) if (d, version) not in self.inspections]

    def unfinished(self, line: str, version: str) -> bool:
        """Whether anything of the line waits to be opened or inspected."""
        return bool(self.waiting.get(line) or self.opening.get(line) or self.pending(line, version))

    def inspect(self, line: str, inspector: Inspector, pictures: Pictures) -> Iterator[int]:
        """Inspect what is pending; yields how many are done after each image. It can be broken
        off at any time: what was yielded is kept. An image that cannot be decoded gets its error.
        Decoding is done once: the thumbnail, and in `pictures` the picture of the image that will
        be opened, come of the same pixels as the model's answer."""
        version = inspector.loaded.version
        digests = self.pending(line, version)
        files = ((digest, self.content[digest]) for digest in digests)
        first = self._first_arrived(line)
        answers = inspector.inspect_many(files, thumbnails=True, pixels_of=first)
        for done, (digest, answer) in enumerate(zip(digests, answers, strict=True), 1):
            if not isinstance(answer, ImageError) and answer.pixels is not None:
                pictures.keep(digest, answer.pixels)
                answer = replace(answer, pixels=None)
            if isinstance(answer, BusyError):  # its turn comes with the next run
                continue
            if isinstance(answer, ImageError):
                self._refuse(line, digest, answer)
            else:
                self.inspections[digest, version] = answer
            yield done

    def _refuse(self, line: str, digest: str, error: ImageError) -> None:
        """Keep the error of a file that is no image, and nothing of the file."""
        for place, entry in enumerate(known := self.entries[line]):
            if entry.digest == digest:
                own = ImageError(entry.name, error.reason, error.remedy)
                known[place] = replace(entry, digest="", error=own)
        if not any(e.digest == digest for entries in self.entries.values() for e in entries):
            self.held -= len(self.content.pop(digest))

    def _first_arrived(self, line: str) -> set[str]:
        """The digest of the image that will be opened; empty where none came."""
        number = self.arrived.get(line)
        came = (
            e.digest
            for e in self.entries.get(line, [])
            if number is not None and e.number >= number and e.error is None
        )
        return {digest for digest in [next(came, None)] if digest is not None}

    def results(self, line: str, version: str) -> list[Result]:
        """The line's images in the order they came, each with its own name."""
        results = []
        for entry in self.entries.get(line, []):
            answer = self.inspections.get((entry.digest, version))
            if entry.error is not None:
                results.append(Result(entry, None, entry.error))
            elif answer is not None:
                results.append(Result(entry, replace(answer, name=entry.name), None))
        return results

    def open_result(self, line: str, results: list[Result]) -> Result | None:
        """The inspected image that is open: of those that came last the first, once; then the one
        that was chosen, else the first of all."""
        usable = [r for r in results if r.inspection is not None]
        came = self.arrived.pop(line, None)
        if came is not None:
            number = next((r.entry.number for r in usable if r.entry.number >= came), None)
            if number is not None:
                self.opened[line] = number
        number = self.opened.get(line)
        return next((r for r in usable if r.entry.number == number), usable[0] if usable else None)

    def open(self, line: str, number: int) -> None:
        """Open the entry `number` of a line."""
        self.opened[line] = number


def count_verdicts(results: Iterable[Result], policy: Policy) -> dict[Verdict, int]:
    """How many images get which verdict under `policy`."""
    counts = dict.fromkeys(Verdict, 0)
    for result in results:
        if result.inspection is not None:
            counts[result.inspection.verdict(policy)] += 1
    return counts
