"""Start many images at once, and follow them."""

import streamlit as st

from defectvision.batch.sources import SourceError
from defectvision.batch.start import BatchRequest, start_batch
from defectvision.people import Action
from defectvision.settings import settings
from defectvision.store.errors import StoreError
from defectvision.web.batch.form import follow, new_batch
from defectvision.web.batch.listing import all_batches
from defectvision.web.choices import choose_bundle, choose_line
from defectvision.web.session.people import ready, who
from defectvision.web.session.store import the_store
from defectvision.words import plain

notices = st.container()
store = the_store(notices)
with st.sidebar:
    line = choose_line(notices)
    loaded = choose_bundle(line, notices) if line else None
    person = who()
    form = None
    if store is not None and loaded is not None:
        st.subheader("New batch")
        if ready(person, Action.BATCH, named=False):
            form = new_batch()
if store is None:
    st.stop()
if form is not None and loaded is not None:
    files = ((file.name, file.getvalue()) for file in form.files)
    request = BatchRequest(form.title, files, form.path, form.watch, form.keep)
    try:
        with notices, st.spinner("Starting the batch"):
            roots = settings().source_roots
            batch = start_batch(store, loaded, request, roots, person)
    except (SourceError, StoreError) as error:
        notices.error(plain(str(error)), title="The batch was not started", icon=":material/error:")
    else:
        follow(batch.id)

st.subheader("Batches", icon=":material/inventory_2:")
all_batches(store)
