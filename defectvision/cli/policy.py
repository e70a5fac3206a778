"""Which policy a command judges by: the one in force, the bundle's own, or one from a file."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError
from sqlalchemy.exc import SQLAlchemyError

from defectvision import roots
from defectvision.bundle.policy import Policy, check_fits
from defectvision.bundle.schema import LoadedBundle
from defectvision.cli.terminal import err
from defectvision.limits import SMALL_FILE
from defectvision.settings import settings

BUNDLE = "bundle"  # in place of a file: the bundle's own policy


def choose_policy(loaded: LoadedBundle, choice: str) -> Policy:
    """The policy to judge by, which is said on the error stream, so that no verdict comes from a
    policy that nobody named. Raises ValueError for a file that holds none.

    choice: see `options.PolicyChoice`; empty for the policy in force, as on the pages.
    """
    if choice == BUNDLE:
        policy, words = loaded.bundle.policy, "the bundle's own"
    elif choice:
        policy, words = read_policy(Path(choice)), choice
    else:
        policy, words = _in_force(loaded)
    try:
        check_fits(policy, loaded.line, loaded.bundle.mask_classes)
    except ValueError as error:
        raise ValueError(
            f"{words}: {error}. Change the policy, or give --policy {BUNDLE}"
        ) from error
    err.say(f"policy: {words}", style="dim")
    return policy


def read_policy(file: Path) -> Policy:
    """The policy in a JSON file, as `inspect --json` gives it; raises ValueError."""
    try:
        return Policy.model_validate_json(roots.content(file, SMALL_FILE))
    except OSError as error:
        raise ValueError(
            f"{file}: cannot be read ({error.strerror}). Give a JSON file with a policy, or "
            f"'{BUNDLE}' for the bundle's own"
        ) from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        raise ValueError(
            f"{file}: {place}: {first['msg'].lower()}. A policy is an object such as "
            '{"accept_below": 0.2, "reject_above": 0.6}'
        ) from error


def _in_force(loaded: LoadedBundle) -> tuple[Policy, str]:
    from defectvision.store.database import open_existing_store
    from defectvision.store.policies import in_force

    place = settings()
    store = open_existing_store(place.store, place.database, place.files)
    if store is None:
        return loaded.bundle.policy, "the bundle's own (nothing is saved for everyone)"
    try:
        with store.reading() as session:
            found = in_force(session, loaded.line.name, loaded.bundle.name, loaded.bundle.policy)
    except SQLAlchemyError as error:
        raise RuntimeError(
            f"the policy in force cannot be read from the store ({error}). Give --policy "
            f"{BUNDLE} to judge by the bundle's own"
        ) from error
    return found.policy, found.words
