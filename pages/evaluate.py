"""How good a bundle is, what its mistakes cost, and where the thresholds should stand."""

import streamlit as st

from defectvision.evaluation.consequences import consequence
from defectvision.evaluation.kept import EvaluationError
from defectvision.store.errors import StoreError
from defectvision.store.evaluations import State, state_of
from defectvision.web.evaluate import heading, opening
from defectvision.web.evaluate.classes import classes
from defectvision.web.evaluate.comparing import comparison
from defectvision.web.evaluate.costs import costs_of_session
from defectvision.web.evaluate.curves import curves
from defectvision.web.evaluate.form import new_evaluation
from defectvision.web.evaluate.groups import groups
from defectvision.web.evaluate.listing import all_evaluations
from defectvision.web.evaluate.mistakes import mistakes
from defectvision.web.evaluate.operating import operating_point
from defectvision.web.evaluate.parts import chosen_part, judged_by
from defectvision.web.evaluate.progress import ended_early, follow
from defectvision.web.session.people import who
from defectvision.web.session.store import the_store
from defectvision.web.session.work import current
from defectvision.words import plain

work, notices = current(), st.container()
with st.sidebar:
    person = who()
store = the_store(notices)
if store is None:
    st.stop()
number = opening.asked()
row = None if number is None else opening.row_of(store, number)
if row is None:
    with st.sidebar:
        new_evaluation(store, person)
    st.subheader("Evaluate", icon=":material/fact_check:")
    if number is not None:
        opening.go_to(None)
        st.info(f"There is no evaluation {number}: it was deleted.", icon=":material/info:")
    all_evaluations(store)
    st.stop()

more = heading.title(row)
with store.reading() as session:
    state = state_of(session, row)
if state is State.RUNNING:
    follow(store, row.id)
    st.stop()
if state is not State.DONE:
    ended_early(store, row.id, state, person)
    st.stop()
try:
    opened = opening.opened(store, row, bool(st.session_state.get(heading.WITH_SEEN)))
except StoreError as error:
    st.error(plain(str(error)), icon=":material/error:")
    st.stop()
policy = judged_by(work, store, opened, person, notices)
kept = opened.kept
heading.more_of(more, store, opened, policy)
heading.about(opened)
try:
    heading.tiles(kept, policy, consequence(kept, policy, costs_of_session()))
    part = chosen_part(kept)
    if part == "Operating point":
        operating_point(work, opened, policy, may_move=opened.same_bundle)
    elif part == "Mistakes":
        mistakes(work, store, opened, policy)
    elif part == "Curves":
        curves(kept, policy)
    elif part == "Classes and defects":
        classes(kept, policy, row.id)
    elif part == "Photo groups":
        groups(kept, policy, row.id)
    elif part == "Comparison":
        comparison(store, opened, policy)
except EvaluationError as error:
    st.error(plain(str(error)), title="Not under this policy", icon=":material/rule:")
