"""Whether a server may start: one that others reach needs to know who they are."""

from __future__ import annotations

from defectvision.settings import Settings
from defectvision.web.guard import is_loopback

REMEDIES = (
    "Set DEFECTVISION_SIGN_IN to 'accounts' (make the first account with: defectvision accounts "
    "add NAME --role admin) or to 'openid' (see docs/access.md); or to 'anyone-may-do-everything', "
    "where something before the server knows who they are"
)


def cannot_start(address: str, about: Settings) -> str:
    """Why the server may not start; empty where it may. address: what it listens on, all addresses
    where empty."""
    if about.sign_in:
        return ""
    if not is_loopback(address):
        where = f"address {address}" if address else "all addresses"
        return f"the server would listen on {where}, and nobody signs in. {REMEDIES}"
    return ""


def no_provider() -> str:
    """What lacks in the description of the OpenID provider that Streamlit reads; empty where
    nothing does."""
    import streamlit as st

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
