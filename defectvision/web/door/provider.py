"""The OpenID provider, as Streamlit is told of it."""

from __future__ import annotations

import streamlit as st


def no_provider() -> str:
    """What lacks in the description of the OpenID provider that Streamlit reads; empty where
    nothing does."""
    try:
        about = st.secrets.get("auth")
    except Exception as error:  # Streamlit's own, for a file that is missing or no TOML
        about, reason = None, str(error).partition("\n")[0]
    else:
        reason = "it has no section [auth]"
    needed = ("redirect_uri", "cookie_secret", "client_id", "client_secret", "server_metadata_url")
    if about is None:
        return f".streamlit/secrets.toml: {reason}. See docs/access.md"
    if missing := [key for key in needed if not about.get(key)]:
        return f".streamlit/secrets.toml: [auth] lacks {', '.join(missing)}. See docs/access.md"
    return ""
