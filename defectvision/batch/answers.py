"""Image files into the columns of their rows, and no file's fault into another's."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from defectvision import logs
from defectvision.batch.deadline import TooSlowError, within
from defectvision.batch.watch import AwayError
from defectvision.bundle.policy import Policy, Verdict
from defectvision.data.synthetic.samples import is_synthetic
from defectvision.inference.decode_memory import BusyError
from defectvision.inference.images import ImageError
from defectvision.inference.inspection import Inspection
from defectvision.inference.inspector import Inspector
from defectvision.inference.judged import Judged
from defectvision.store.errors import StoreError
from defectvision.store.files import Files
from defectvision.store.retention import DEFECTS, NONE
from defectvision.store.rows import Columns, answer_columns, failure_columns, repeated_columns
from defectvision.store.stored import StoredInspection
from defectvision.store.tables import ImageState, now

log = logging.getLogger(__name__)
WRITERS = 8  # threads that write files: a disk takes several at once, each waits for it
IMAGE_SECONDS = 60.0  # that one image may take
EACH_SECONDS = 5.0  # and each further one of those that are inspected together


class SlowImagesError(RuntimeError):
    """Images that were not answered in time, as one of them is at fault; each goes alone then."""


@dataclass(frozen=True)
class Answerer:
    """Asks one bundle, and keeps what it says in the store as a batch wants it.

    keep: see store/retention.py; policy: cuts the regions that are kept.
    """

    inspector: Inspector
    policy: Policy
    files: Files
    keep: str

    def answers(self, new: Mapping[str, bytes], any_done: bool) -> dict[str, Columns]:
        """The columns of new files, by digest, with their pictures.

        any_done: whether the batch has an image that was inspected: else what fails may be the
        model and not the image. Raises what is no image's fault, and SlowImagesError.
        """
        seconds = IMAGE_SECONDS + EACH_SECONDS * len(new)
        try:
            return within(seconds, partial(self._together, list(new.items())))
        except TooSlowError as error:
            if len(new) > 1:
                raise SlowImagesError(f"{len(new)} images: {error}") from error
            reason = f"took longer than {seconds:.0f} s"
            return {d: _failure(d, reason, "Save the image again.") for d in new}
        except (StoreError, OSError):
            raise
        except Exception as error:
            if len(new) > 1:
                return self._apart(new)
            if not any_done:
                raise
            return {digest: _unexpected(digest, error) for digest in new}

    def repeated(self, known: StoredInspection, data: bytes) -> Columns:
        """The columns of a file whose answer is known, with its picture."""
        # What was kept once is mended where it was damaged, whatever this batch keeps.
        kept = self._picture(data, known, known.row.stored)
        return repeated_columns(known.row) | kept

    def _together(self, new: Iterable[tuple[str, bytes]]) -> dict[str, Columns]:
        new = list(new)
        with ThreadPoolExecutor(WRITERS, thread_name_prefix="keep") as pool:
            found = self.inspector.inspect_many(new, thumbnails=True)
            kept = {
                digest: pool.submit(self._columns, answer, data)
                for (digest, data), answer in zip(new, found, strict=True)
            }
        return {digest: columns.result() for digest, columns in kept.items()}

    def _columns(self, answer: Inspection | ImageError, data: bytes) -> Columns:
        if isinstance(answer, BusyError):  # no fault of the image: it waits for another turn
            raise AwayError("other large images take all memory for decoding. It is waited for")
        if isinstance(answer, ImageError):
            return failure_columns(answer)
        columns = answer_columns(answer, self.policy, self.files)
        return columns | self._picture(data, answer)

    def _picture(self, data: bytes, answer: Judged, kept_before: bool = False) -> Columns:
        """Of an image that is done; its picture lies in the store where it is kept."""
        accepted = answer.verdict(self.policy) == Verdict.ACCEPT
        kept = self.keep != NONE and not (accepted and self.keep == DEFECTS)
        if kept or kept_before:
            self.files.put(data)
        return {
            "state": ImageState.DONE,
            "stored": kept,
            "synthetic": is_synthetic(data),
            "at": now(),
        }

    def _apart(self, new: Mapping[str, bytes]) -> dict[str, Columns]:
        """Each by itself, after an error that some had together."""
        found: dict[str, Columns] = {}
        errors: dict[str, Exception] = {}
        for digest, data in new.items():
            try:
                found |= self._together([(digest, data)])
            except (StoreError, OSError):
                raise
            except Exception as error:
                with logs.about(image=digest):
                    log.exception("an image cannot be inspected")
                errors[digest] = error
        if not found:  # no single image is at fault
            raise next(iter(errors.values()))
        return found | {digest: _unexpected(digest, error) for digest, error in errors.items()}


def _unexpected(digest: str, error: Exception) -> Columns:
    reason = f"cannot be inspected ({type(error).__name__}: {error})"
    return _failure(digest, reason, "Save the image again, or report it.")


def _failure(digest: str, reason: str, remedy: str) -> Columns:
    return failure_columns(ImageError(digest, reason, remedy))
