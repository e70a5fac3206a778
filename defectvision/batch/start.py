"""Start a batch."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from defectvision.batch.sources import folder_source, place_source, upload_source
from defectvision.bundle.schema import LoadedBundle
from defectvision.people import Action, Person, needs
from defectvision.store import batches
from defectvision.store.batches import Engine
from defectvision.store.database import Store
from defectvision.store.ownership import join_files
from defectvision.store.retention import ALL, days_kept
from defectvision.store.sources import Source
from defectvision.store.tables import BatchRow


@dataclass(frozen=True)
class BatchRequest:
    """What somebody asks to be inspected: uploaded files (name, content), or a path; a URL, too,
    or a table of them, where whoever asks may read what the system lets them.

    watch: follow the folder `path`. keep: see store/retention.py. engine: see `batches.Engine`.
    """

    title: str = ""
    files: Iterable[tuple[str, bytes]] = ()
    path: Path | str | None = None
    watch: bool = False
    keep: str = ALL
    engine: Engine = Engine.LOCAL


@needs(Action.BATCH)
def start_batch(
    store: Store,
    loaded: LoadedBundle,
    request: BatchRequest,
    roots: Iterable[Path] | None,
    who: Person,
) -> BatchRow:
    """A new batch, which a worker takes up; raises SourceError and StoreError.

    roots: folders that may be read from; None for whoever may read what the system lets them.
    """
    days_kept(request.keep)
    join_files(store)
    source: Source
    if isinstance(request.path, str) and roots is None:
        source = place_source(request.path)
    elif request.path is not None:
        source = folder_source(Path(request.path), roots, request.watch)
    else:
        source = upload_source(request.files, store.files)
    with store.session() as session:
        what = loaded, source, request.title, who, request.keep, request.engine
        return batches.add_batch(session, *what)
