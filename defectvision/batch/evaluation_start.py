"""Start an evaluation for a page, in a process of its own that ends with the server."""

from __future__ import annotations

import logging
import subprocess
from collections.abc import Iterable
from pathlib import Path
from threading import Thread

from defectvision.batch import keeper
from defectvision.bundle.schema import LoadedBundle
from defectvision.people import Action, Person, needs
from defectvision.roots import below_a_root, refuse_leading_out
from defectvision.store import evaluations
from defectvision.store.database import Store
from defectvision.store.errors import StoreError
from defectvision.store.evaluations import LabelledSet, Source
from defectvision.store.ownership import join_files
from defectvision.words import why_ended

log = logging.getLogger(__name__)
LOG = "The server's log says more"


@needs(Action.TEACH)
def start_evaluation(
    store: Store,
    loaded: LoadedBundle,
    source: Source,
    roots: Iterable[Path],
    who: Person,
) -> int:
    """Begin an evaluation and return its number; `store.evaluations` tells how far it is. roots:
    folders that a labelled set may lie in. Raises data.roots.NotAllowedError, StoreError and
    OSError."""
    if isinstance(source, LabelledSet):
        roots = tuple(roots)
        found = below_a_root(Path(source.path), roots)
        if not found.exists():
            raise StoreError(f"{source.path}: no such file or folder. Check the path")
        refuse_leading_out(found, roots)
        source = source.model_copy(update={"path": str(found)})
    join_files(store)
    with store.session() as session:
        number = evaluations.add_evaluation(session, loaded, source, who).id
    _run(store, loaded.folder.parent.parent, number)
    return number


@needs(Action.TEACH)
def start_again(store: Store, weights: Path, number: int, who: Person) -> None:
    """Begin an evaluation anew that was interrupted, cancelled or failed. Raises StoreError and
    OSError."""
    with store.session() as session:
        evaluations.begin_again(session, number, who)
    _run(store, weights, number)


def _run(store: Store, weights: Path, number: int) -> None:
    words = ["evaluate", "--work-on", str(number), "--weights", str(weights.absolute()), "--json"]
    process = keeper.start(words)
    follow = (store, process, number)
    Thread(target=_follow, args=follow, name=f"evaluation {number}", daemon=True).start()


def _follow(store: Store, process: subprocess.Popen[bytes], number: int) -> None:
    """Wait until it has ended, and keep why where it did not do so itself."""
    with keeper.standing_aside(process):
        status = process.wait()
    try:
        with store.session() as session:
            why = f"The process that evaluates ended early: {why_ended(status, LOG)}"
            evaluations.fail(session, number, why)
    except Exception:  # whatever keeps it from being kept, it shows as interrupted
        log.exception("how evaluation %d ended was not kept", number)
