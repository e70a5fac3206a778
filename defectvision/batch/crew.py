"""Who reads a batch's images and asks the model about them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Protocol

from defectvision.batch.station import Found, Question, Station
from defectvision.batch.watch import AwayError
from defectvision.bundle.schema import LoadedBundle
from defectvision.inference.inspector import inspector_of
from defectvision.limits import Limits
from defectvision.store.files import Files
from defectvision.store.rows import Columns
from defectvision.store.tables import BatchRow, InspectionRow


class StationLostError(AwayError):
    """Who was at a chunk is gone, with its process or its machine: others do it again."""


# What a step of a chunk came to, or why it came to nothing.
Done = Found | dict[str, Columns] | Exception


class Crew(Protocol):
    """Takes chunks, each by its number through two steps; `wait` tells how they ended.

    deep: chunks that one who inspects has at once, the others waiting behind the first.
    """

    deep: int

    @property
    def has_room(self) -> bool:
        """Whether another chunk would be begun at once, or soon."""

    def read(self, chunk: int, bundle: LoadedBundle, rows: list[InspectionRow]) -> None:
        """Begin a chunk: read its rows' files."""

    def ask(self, chunk: int, question: Question) -> None:
        """Ask about the files of a chunk that was read, where they lie."""

    def wait(self) -> list[tuple[int, Done]]:
        """Steps that ended since; none where that takes longer than a moment. Raises what is no
        chunk's fault."""

    def forget(self, *chunks: int) -> None:
        """Want nothing more of some chunks."""


# Who inspects the images of a batch, whose files lie with those of the store.
CrewOf = Callable[[BatchRow, LoadedBundle, Files], Crew]


class Here:
    """This process: one chunk at a time, with all cores."""

    deep = 1

    def __init__(self, station: Station, limits: Limits) -> None:
        self.station, self.limits = station, limits
        self._bundle: LoadedBundle | None = None
        self._done: list[tuple[int, Done]] = []

    @property
    def has_room(self) -> bool:
        return not self._done

    def read(self, chunk: int, bundle: LoadedBundle, rows: list[InspectionRow]) -> None:
        self._bundle = bundle
        inspector_of(bundle, self.limits)  # loaded before files are held
        self._do(chunk, partial(self.station.read, chunk, rows))

    def ask(self, chunk: int, question: Question) -> None:
        assert self._bundle is not None
        inspector = inspector_of(self._bundle, self.limits)
        self._do(chunk, partial(self.station.answer, chunk, inspector, question))

    def wait(self) -> list[tuple[int, Done]]:
        done, self._done = self._done, []
        return done

    def forget(self, *chunks: int) -> None:
        self.station.forget(*chunks)
        self._done = [(chunk, done) for chunk, done in self._done if chunk not in chunks]

    def _do(self, chunk: int, step: Callable[[], Done]) -> None:
        try:
            self._done.append((chunk, step()))
        except Exception as error:
            self._done.append((chunk, error))
