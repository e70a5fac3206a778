"""The store as the pages use it: opened once, and its troubles in words."""

from __future__ import annotations

from sqlalchemy.exc import SQLAlchemyError
from streamlit.delta_generator import DeltaGenerator

from defectvision import settings
from defectvision.bundle.policy import PolicyInForce
from defectvision.bundle.schema import LoadedBundle
from defectvision.store.database import Store, reason_of
from defectvision.store.errors import StoreError
from defectvision.store.policies import in_force
from defectvision.web.session.work import Work
from defectvision.words import plain


def the_store(notices: DeltaGenerator) -> Store | None:
    """The store; None, with the reason in `notices`, where it cannot be used."""
    try:
        return settings.the_store()
    except StoreError as error:
        notices.error(
            plain(str(error)), title="The store cannot be used", icon=":material/database_off:"
        )
        return None


def read_policy_in_force(
    work: Work, loaded: LoadedBundle, notices: DeltaGenerator
) -> PolicyInForce | None:
    """Let `work` know the policy in force for a bundle, and return it; None, with the reason in
    `notices`, where it cannot be read. There is no verdict then: by another policy, the bundle's
    own or the last one known, a part could be accepted that the one in force holds back."""
    store = the_store(notices)
    if store is None:
        return None
    try:
        with store.reading() as session:
            about = loaded.bundle
            policy = in_force(session, loaded.line.name, about.name, about.policy)
    except SQLAlchemyError as error:
        notices.error(
            f"The policy in force cannot be read ({plain(reason_of(error))}), and no verdict is "
            "given without it. Reload the page once the database answers.",
            title="No verdicts",
            icon=":material/database_off:",
        )
        return None
    work.policies.know(loaded, policy)
    say_outdated(policy, notices)
    return policy


def say_outdated(policy: PolicyInForce, notices: DeltaGenerator) -> None:
    """Say that the saved policy is for another model, and what to do."""
    if policy.outdated is not None:
        notices.warning(
            f"Policy {policy.outdated} was saved for an earlier model of this bundle, whose scores "
            "meant something else. Until a policy is saved for this one, every part goes to "
            "review: set the thresholds and put them in force, or take the bundle's own on the "
            "**Lines** page. **Evaluate** tells what thresholds cost.",
            title="Every part goes to review",
            icon=":material/policy:",
        )
