"""Where the images of a batch are read and the model is asked about them: in this process, or in
one of another machine. It knows the store's files, and not its database."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from defectvision.batch.answers import Answerer
from defectvision.batch.reading import Reader
from defectvision.bundle.policy import Policy
from defectvision.inference.inspector import Inspector
from defectvision.store.batches import line_of
from defectvision.store.files import Files, digest_of
from defectvision.store.rows import Columns
from defectvision.store.stored import StoredInspection
from defectvision.store.tables import BatchRow, InspectionRow


@dataclass(frozen=True)
class Found:
    """What reading the rows of a chunk came to.

    columns: of rows that could not be read. digests: of the files of the others; of rows with the
    same file, the first one's. stamps: of the same rows, see batch/watch.py.
    """

    columns: dict[int, Columns]
    digests: dict[int, str]
    stamps: dict[int, str]


@dataclass(frozen=True)
class Question:
    """What is asked about files that were read.

    new: digests of those that the model is asked about; known: the rows that have the answers of
    others. any_done: see `Answerer.answers`.
    """

    new: tuple[str, ...]
    known: Mapping[str, InspectionRow]
    policy: Policy
    any_done: bool


class Station:
    """Reads the rows of chunks, and holds their files until it is asked about them."""

    def __init__(self, batch: BatchRow, reader: Reader, files: Files) -> None:
        self.batch, self.reader, self.files = batch, reader, files
        self._read: dict[int, dict[str, bytes]] = {}

    def read(self, chunk: int, rows: list[InspectionRow]) -> Found:
        """Raises what is no image's fault."""
        columns, read = self.reader.read_rows(rows)
        first: dict[str, int] = {}
        for row, found in read.items():
            first.setdefault(digest_of(found.data), row)
        self._read[chunk] = {digest: read[row].data for digest, row in first.items()}
        digests = {row: digest for digest, row in first.items()}
        return Found(columns, digests, {row: read[row].stamp for row in digests})

    def answer(self, chunk: int, inspector: Inspector, question: Question) -> dict[str, Columns]:
        """The columns by digest; of a known answer whose files were lost, those of a new one.
        Raises what is no image's fault, and SlowImagesError."""
        content = self._read.pop(chunk)
        self.reader.memory.doing = ""
        answerer = Answerer(inspector, question.policy, self.files, self.batch.keep)
        answered: dict[str, Columns] = {}
        new = list(question.new)
        for digest, row in question.known.items():
            if all(self.files.is_whole(x) for x in (row.record, row.thumbnail) if x):
                before = StoredInspection(row, line_of(self.batch), self.batch, self.files)
                answered[digest] = answerer.repeated(before, content[digest])
            else:
                new.append(digest)
        if not new:
            return answered
        wanted = {digest: data for digest, data in content.items() if digest in new}
        return answered | answerer.answers(wanted, question.any_done)

    def forget(self, *chunks: int) -> None:
        """Let go of files that nobody will ask about."""
        for chunk in chunks:
            self._read.pop(chunk, None)
