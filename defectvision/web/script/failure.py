"""What a page says where it cannot go on, in place of Streamlit's own words."""

from __future__ import annotations

import logging

log = logging.getLogger(__name__)


def words_of(error: Exception) -> str | None:
    """What is wrong and what to do about it, of an error that can be foreseen; None of others."""
    from sqlalchemy.exc import SQLAlchemyError

    from defectvision.bundle.reader import BundleError
    from defectvision.data.catalog import CatalogError
    from defectvision.inference.images import ImageError
    from defectvision.people import NotAllowedError
    from defectvision.store.database import in_words
    from defectvision.store.errors import StoreError

    if isinstance(error, SQLAlchemyError):
        return in_words(error)
    if isinstance(error, OSError):
        return f"{error.filename or 'a file'}: {error.strerror or error}. Look after the disk"
    known = (StoreError, NotAllowedError, BundleError, CatalogError, ImageError)
    return str(error) if isinstance(error, known) else None


def explain(error: Exception) -> bool:
    """Say on the page what is wrong and what to do; what it shows already stays. Always True:
    Streamlit, which logs the error, has nothing to add on the page."""
    import streamlit as st

    from defectvision.words import plain

    said = words_of(error) or (
        f"an unexpected error ({type(error).__name__}). What was decided and inspected is kept; "
        "reload the page. The server's log says more"
    )
    log.warning("a page cannot go on: %s", said)
    st.error(plain(said), title="This page cannot go on", icon=":material/error:")
    return True
