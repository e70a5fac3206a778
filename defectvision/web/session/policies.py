"""What a session judges by: the policies in force, and those that were moved on its pages.

Kept apart from the widgets, which forget their values when their page is left.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from defectvision.bundle.policy import Policy, PolicyInForce
from defectvision.bundle.schema import LoadedBundle


@dataclass
class Policies:
    """The policies of one session, by line and bundle."""

    moved: dict[tuple[str, str], Policy] = field(default_factory=dict)
    for_everyone: dict[tuple[str, str], PolicyInForce] = field(default_factory=dict)

    def of(self, loaded: LoadedBundle) -> Policy:
        """What this session judges by: its own policy, else the one in force."""
        return self.moved.get(_whose(loaded), self.in_force(loaded).policy)

    def in_force(self, loaded: LoadedBundle) -> PolicyInForce:
        """The policy in force as the store last gave it; raises KeyError where nobody asked."""
        return self.for_everyone[_whose(loaded)]

    def know(self, loaded: LoadedBundle, policy: PolicyInForce) -> None:
        """Take over which policy is in force, as the store gives it."""
        self.for_everyone[_whose(loaded)] = policy

    def reset(self, loaded: LoadedBundle) -> None:
        """Judge by the policy in force again."""
        self.moved.pop(_whose(loaded), None)

    def change(self, loaded: LoadedBundle, **changes: Any) -> None:
        """Set fields of the session's policy and keep the others; raises ValidationError."""
        content = {**self.of(loaded).model_dump(), **changes}
        self.moved[_whose(loaded)] = Policy.model_validate(content)

    def set_class_value(self, loaded: LoadedBundle, name: str, of: str, value: float) -> None:
        """Set the threshold of class `of` in the field `name`."""
        values = {**getattr(self.of(loaded), name), of: min(max(value, 0.0), 1.0)}
        self.change(loaded, **{name: values})

    def set_threshold(self, loaded: LoadedBundle, name: str, value: float) -> None:
        """Move one threshold; the other one gives way where they would cross."""
        now = self.of(loaded)
        value = min(max(value, 0.0), 1.0)
        if name == "accept_below":
            changed = {"accept_below": value, "reject_above": max(value, now.reject_above)}
        else:
            changed = {"accept_below": min(value, now.accept_below), "reject_above": value}
        self.change(loaded, **changed)


def _whose(loaded: LoadedBundle) -> tuple[str, str]:
    return loaded.line.name, loaded.bundle.name
