"""What is said of a run, by its state."""

from __future__ import annotations

from defectvision.web.new_line.runs import State

STATES = {
    State.RUNNING: "is being learned",
    State.CUT_OFF: "was cut off",
    State.DONE: "is ready",
    State.REFUSED: "was refused",
    State.FAILED: "ended early",
    State.CANCELLED: "was cancelled",
}
