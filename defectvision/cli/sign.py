"""`defectvision keygen` and `defectvision sign`: who vouches for a bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from defectvision.cli.terminal import clear_errors, out


def keygen(
    file: Annotated[Path, typer.Argument(help="file for the private key; it must not exist yet")],
) -> None:
    """Make a key to sign bundles with; prints the public key for DEFECTVISION_TRUSTED_KEYS."""
    from defectvision.bundle.signature import make_key

    with clear_errors():
        out.say(make_key(file))


def sign(
    bundle: Annotated[Path, typer.Argument(help="folder of the bundle: weights/LINE/BUNDLE")],
    key: Annotated[Path, typer.Option(help="file with the private key, of defectvision keygen")],
) -> None:
    """Sign a bundle as it is now, its line among it; prints the public key."""
    from defectvision.bundle.reader import load_bundle
    from defectvision.bundle.signature import read_key, write_signature

    with clear_errors():
        folder = bundle.resolve()
        loaded = load_bundle(folder.parents[1], folder.parent.name, folder.name)
        out.say(write_signature(loaded.folder, loaded.covered, read_key(key)))
