"""One part and its verdict, to be read from across the shop floor: the last one of a batch, or the
one of the page's address."""

import streamlit as st

from defectvision.store.batches import ACTIVE
from defectvision.web.batch.opening import open_batch
from defectvision.web.floor.part import show_part
from defectvision.web.session.people import acting
from defectvision.web.session.work import current

SECONDS = 1.5  # between two looks at a batch that is inspected right now

work = current()
results, loaded = open_batch(work, "Shop floor", ":material/tv:")
asked = st.query_params.get("image", "")
if asked.isdigit() and (one := results.one(int(asked))) is not None:
    show_part(results, loaded, one)
else:
    every = SECONDS if results.batch.state in ACTIVE else None

    def newest() -> None:
        acting()  # the screen may stay on for days: whoever signed in must still be let in
        show_part(results, loaded, results.newest())

    st.fragment(newest, run_every=every)()
