"""The open image of a batch, as the store kept it."""

from __future__ import annotations

import streamlit as st

from defectvision.bundle.policy import Policy
from defectvision.inference.images import ImageError
from defectvision.settings import settings
from defectvision.store.errors import StoreError
from defectvision.store.stored import StoredInspection
from defectvision.web.open_image import OpenImage
from defectvision.web.session.work import Work
from defectvision.words import plain


def stored_image(work: Work, stored: StoredInspection, policy: Policy) -> OpenImage | None:
    """The image under the policy, without its picture where that is lost, with a word on the page;
    None where the model's answer is."""
    digest = stored.row.digest or stored.name
    try:
        inspection = stored.inspection
    except StoreError as error:
        st.error(plain(str(error)), icon=":material/error:")
        return None
    picture, data = None, None
    try:
        if (data := stored.picture()) is not None:
            picture = work.pictures.of(digest, data, settings().limits.pixels, stored.line.bits)
    except (StoreError, ImageError) as error:
        st.warning(plain(str(error)), icon=":material/error:")
    cut = work.cuts.whole(digest, inspection, policy)
    return OpenImage(digest, inspection, cut, picture, stored.row.synthetic, data)
