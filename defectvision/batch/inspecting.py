"""Inspect the images of a batch that wait, some together.

Chunks of rows are handed to a crew, which reads their files; what is found is looked up in the
database, in the order in which the chunks were handed out, so that of two rows with the same file
always the first is inspected and the other repeats it; then the crew asks the model, and what it
answers is written. Each answer and the state of its row are written in one transaction of the
claim's. A chunk whose crew is lost is handed out again, as its rows still wait.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Collection
from itertools import count, takewhile

from sqlalchemy import update
from sqlalchemy.orm import Session

from defectvision.batch.answers import SlowImagesError
from defectvision.batch.chunk import ALONE, Chunk
from defectvision.batch.claim import Claim
from defectvision.batch.crew import Crew, Done, StationLostError
from defectvision.batch.memory import OfBatch
from defectvision.batch.station import Found
from defectvision.bundle.schema import LoadedBundle
from defectvision.store.age import moment
from defectvision.store.answers import write_answers
from defectvision.store.batches import images_in
from defectvision.store.errors import ClaimLostError
from defectvision.store.rows import Columns
from defectvision.store.tables import BatchRow, ImageState, InspectionRow

log = logging.getLogger(__name__)
CHUNK_SECONDS = 1.0  # that the images which are written together take
_numbers = count()  # of chunks: no two of a process are called alike
LOOKED_FOR = 512  # rows that are looked for together


class Inspecting:
    """One sitting at the images that wait.

    bundle: gives the one that the batch began with, or raises. is_wanted: whether to go on. until:
    by `time.monotonic`, when nothing more is begun.
    """

    def __init__(
        self,
        claim: Claim,
        batch: BatchRow,
        crew: Crew,
        memory: OfBatch,
        bundle: Callable[[], LoadedBundle],
        is_wanted: Callable[[Session], bool],
        until: float,
    ) -> None:
        self.claim, self.batch, self.crew, self.memory = claim, batch, crew, memory
        self.bundle, self.is_wanted, self.until = bundle, is_wanted, until
        self.written = 0
        self._chunks: dict[int, Chunk] = {}  # in the order in which they were handed out
        self._asked: dict[str, Chunk] = {}  # which chunk asks about a file
        self._out: set[int] = set()  # rows that are in some chunk's hands
        self._ahead: deque[InspectionRow] = deque()
        self._after = 0  # the row up to which was looked for others that wait
        self._all_out = False  # whether no other one waits
        self._since = time.perf_counter()

    def run(self) -> int:
        """Returns how many images were written. Raises what is no image's fault; what was begun
        then waits again."""
        try:
            while self._hand_out() or self._chunks:
                for number, done in self.crew.wait():
                    if number in self._chunks:
                        self._went_on(self._chunks[number], done)
                        self._ask()
        except ClaimLostError:
            self.crew.forget(*self._chunks)
            raise
        except Exception:
            self.crew.forget(*self._chunks)
            for chunk in self._chunks.values():
                chunk.was_not_asked()
            raise
        return self.written

    def _hand_out(self) -> bool:
        """Give the crew what it has room for; returns whether more may wait."""
        while True:
            with self.claim.store.reading() as session:
                wanted = self.is_wanted(session)
                over = not wanted or (self.written and time.monotonic() > self.until)
                if over or not self.crew.has_room:
                    break
                rows = self._next(session)
            if not rows:
                return False
            chunk = Chunk(next(_numbers), self.claim, self.batch, self.bundle(), rows)
            self._chunks[chunk.number] = chunk
            self._out |= chunk.out
            self.crew.read(chunk.number, chunk.bundle, rows)
        if over:
            for chunk in [chunk for chunk in self._chunks.values() if chunk.question is None]:
                self.crew.forget(chunk.number)
                self._end(chunk)
        return not over

    def _next(self, session: Session) -> list[InspectionRow]:
        """Rows for the next chunk; one by itself that may have ended the program before."""
        away = self._out.union(self.memory.not_yet())
        if not self._ahead:
            self._look_ahead(session, away)
        while self._ahead and self._ahead[0].id in away:
            self._ahead.popleft()
        some = [row for row, _ in zip(self._ahead, range(self.memory.together), strict=False)]
        rows = list(takewhile(lambda row: row.tries < ALONE, some)) or some[:1]
        for _ in rows:
            self._ahead.popleft()
        return rows

    def _look_ahead(self, session: Session, away: set[int]) -> None:
        """Look for rows that wait and are in nobody's hands: behind those that were found before,
        then from the first one on."""
        if self._all_out and not self.memory.later:
            return
        for after in dict.fromkeys((self._after, 0)):
            self._after = after
            while page := images_in(
                session, self.batch.id, ImageState.WAITING, LOOKED_FOR, after=self._after
            ):
                self._after = page[-1].id
                self._ahead.extend(row for row in page if row.id not in away)
                if self._ahead:
                    return
        self._all_out = True

    def _went_on(self, chunk: Chunk, done: Done) -> None:
        if isinstance(done, Found):
            chunk.found = done
        elif isinstance(done, StationLostError):
            log.warning("batch %d: %s. Its images are given to others", self.batch.id, done)
            self._end(chunk)
        elif isinstance(done, SlowImagesError):
            chunk.were_slow(done)
            self._end(chunk)
        elif isinstance(done, Exception):
            raise done
        else:
            self._write(chunk, done)

    def _ask(self) -> None:
        """Look up what was found, of no chunk before those that were handed out earlier."""
        for chunk in list(self._chunks.values()):
            if chunk.question is not None:
                continue
            if chunk.found is None:
                return
            for row, digest in chunk.found.digests.items():
                if other := self._asked.get(digest):  # whose answer it waits for
                    chunk.out.discard(row)
                    other.out.add(row)
            question = chunk.ask(self._asked)
            if question.new or question.known:
                self._asked |= dict.fromkeys((*question.new, *question.known), chunk)
                self.crew.ask(chunk.number, question)
            else:
                self.crew.forget(chunk.number)
                self._write(chunk, {})

    def _write(self, chunk: Chunk, answers: dict[str, Columns]) -> None:
        columns = chunk.columns(answers)
        with self.claim.session() as session:
            write_answers(session, chunk.rows, columns)
            present = time.perf_counter()
            session.execute(
                update(BatchRow)
                .where(BatchRow.id == self.batch.id)
                .values(
                    seconds=BatchRow.seconds + present - self._since,
                    worked=moment(session),
                )
            )
        self._since = present
        chunk.log_failures(columns)
        if len(columns) == self.memory.together:
            self.memory.pace(CHUNK_SECONDS, (present - chunk.begun) / self.crew.deep)
        for row, written in columns.items():
            if "state" not in written:  # it could not be read now
                self.memory.later[row] = time.monotonic() + 2 ** (written["tries"] - 1)
        if self.memory.watch is not None:
            self.memory.watch.was_read(chunk.rows, columns)
        self.written += len(columns)
        self._end(chunk, columns)

    def _end(self, chunk: Chunk, written: Collection[int] = ()) -> None:
        """Have what was not written of a chunk handed out again, before what follows it."""
        del self._chunks[chunk.number]
        self._asked = {d: c for d, c in self._asked.items() if c is not chunk}
        self._out -= chunk.out
        if left := chunk.out.difference(written):
            self._all_out, self._after = False, min(self._after, min(left) - 1)
            self._ahead.clear()
