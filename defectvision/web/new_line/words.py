"""What is said of a run, by its state."""

from __future__ import annotations

from defectvision.web.new_line.runs import Look, State

STATES = {
    State.RUNNING: "is being learned",
    State.CUT_OFF: "was cut off",
    State.DONE: "is ready",
    State.REFUSED: "was refused",
    State.FAILED: "ended early",
    State.CANCELLED: "was cancelled",
}


def said_of(look: Look) -> str:
    """ "Pump housings, bundle memory-2 is ready"; empty of a run that nobody has ordered."""
    order, made = look.order, look.outcome
    if order is None:
        return ""
    bundle = made.bundle if made is not None else order.bundle
    return f"{order.title}{f', bundle {bundle}' if bundle else ''} {STATES[look.state]}"
