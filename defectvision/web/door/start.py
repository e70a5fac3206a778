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
