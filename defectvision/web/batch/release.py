"""Release a lot, and judge a released one anew."""

from __future__ import annotations

from zlib import crc32

import streamlit as st

from defectvision.bundle.policy import Policy, Verdict
from defectvision.bundle.schema import LoadedBundle
from defectvision.people import Action, Person
from defectvision.report.batch_export import Leaving
from defectvision.report.looks import LOOKS
from defectvision.report.release import release_lot, released_formats
from defectvision.settings import settings
from defectvision.store.batches import ENDED, Counts, State
from defectvision.store.errors import StoreError
from defectvision.store.inspections import Summary
from defectvision.store.results import Results
from defectvision.store.selection import EVERYTHING
from defectvision.web.export_menu import Group
from defectvision.web.session.people import lacking_reason, ready
from defectvision.web.session.work import Work
from defectvision.words import counted, plain


def release_panel(
    work: Work,
    results: Results,
    loaded: LoadedBundle,
    lot: Summary,
    seen: int,
    policy: Policy,
    who: Person,
) -> None:
    """The lot's versions, the form of the first one, and what today's policy would change.

    seen: `Results.said_so_far` from before the lot was counted.
    """
    if not results.releases:
        with st.popover("Release", icon=":material/verified:"):
            if _can_be_released(results, lot, policy == work.policies.in_force(loaded).policy):
                _send(results, loaded, seen, who, "Release the lot", "")
        return
    newest = results.releases[-1]
    with st.popover(f"Released, version {newest.number}", icon=":material/verified:"):
        st.dataframe(
            [
                {
                    "Version": row.number,
                    "Title": row.title,
                    "By": row.who,
                    "At, UTC": row.at,
                    "Reason": row.why,
                    "Policy": row.policy_words,
                    **{LOOKS[Verdict(v)].word: n for v, n in row.counts.items()},
                }
                for row in results.releases
            ],
            hide_index=True,
            alt="Released versions of this lot",
        )
        st.caption(
            "Verdicts, decisions and files of a version never change. "
            "`defectvision report verify FILE` checks a file."
        )
        if _judged_anew(results, lot):
            title = st.text_input("Title of the version", key="release-title", max_chars=200)
            _send(results, loaded, seen, who, "Release as another version", title)


def selected_group(leaving: Leaving, stem: str, found: Summary, counts: Counts) -> list[Group]:
    """What the filter leaves, with the files that could not be inspected where it leaves all; none
    where nothing is left."""
    failed = counts.failed if leaving.selection.filter == EVERYTHING else 0
    title = f"{counted(found.images, 'image')} under the filter and the policy shown"
    if failed:
        title += f", and {counted(failed, 'file')} not inspected"
    return [Group(title, stem, leaving.formats())] if found.images or failed else []


def released_groups(results: Results, stem: str) -> list[Group]:
    """The files of each version as they were made, the newest first."""
    return [
        Group(
            f"Version {row.number} as released by {plain(row.who)}: unchanged since",
            f"{stem}_v{row.number}",
            released_formats(results.store, row),
            f"v{row.number}-",
        )
        for row in reversed(results.releases)
    ]


def _can_be_released(results: Results, lot: Summary, in_force: bool) -> bool:
    """What a release is, and what speaks against it now; in_force: whether the page's policy is."""
    if State(results.batch.state) not in ENDED:
        st.markdown("The lot can be released when its batch has ended.")
        return False
    st.markdown(
        "Freezes policy, verdicts, decisions and counts, and makes the report. Nothing of it "
        "changes afterwards; a later policy can judge the lot anew as another version."
    )
    if waiting := lot.verdicts[Verdict.REVIEW]:
        word = counted(waiting, "part waits", "parts wait")
        st.warning(f"{word} for a person, and will stay so in this version.")
    if not in_force:
        st.info("The policy on this page is not in force: go back to it, or put it in force first.")
    return in_force


def _send(
    results: Results, loaded: LoadedBundle, seen: int, who: Person, label: str, title: str
) -> None:
    """The reason, and the button that releases under the policy in force today. Where somebody put
    another one in force, or decided on a part, since the page was drawn, it is another button: what
    was clicked releases nothing that nobody has seen."""
    today = results.policy_of_today()
    policy = crc32(today.policy.model_dump_json().encode())
    key = f"release-{results.batch.id}-{policy}-{seen}"
    why = st.text_input("Reason", key="release-reason", max_chars=500)
    ready(who, Action.RELEASE)
    said = lacking_reason(who, Action.RELEASE, why)
    if st.button(label, key=key, type="primary", disabled=bool(said), help=said or None):
        try:
            with st.spinner("Making the report and the tables"):
                release_lot(
                    results,
                    loaded,
                    today,
                    seen,
                    settings().limits.pixels,
                    who,
                    why,
                    title,
                )
        except StoreError as error:
            st.error(plain(str(error)), title="Not released", icon=":material/error:")
        else:
            st.rerun()


def _judged_anew(results: Results, lot: Summary) -> bool:
    """What the policy in force today would change of the newest version; whether it is another."""
    today, frozen = results.policy_of_today(), results.policy_in_force()
    if today.policy == frozen.policy:
        return False
    changed = results.changed(frozen.policy, today.policy)
    st.markdown(
        f"In force today is {plain(today.words)}: "
        f"{counted(len(changed), 'part')} of {lot.images:,} would change."
    )
    if changed:
        st.dataframe(
            [
                {
                    "Image": row.name,
                    f"Version {results.releases[-1].number}": LOOKS[
                        row.final_verdict(frozen.policy)
                    ].word,
                    "Today": LOOKS[row.final_verdict(today.policy)].word,
                }
                for row in changed
            ],
            hide_index=True,
            alt="Parts that today's policy judges otherwise",
        )
    return True
