"""The audit trail as a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import streamlit as st

from defectvision.store.tables import AuditRow

MOST_ROWS, HEIGHT = 16, 620  # in sight at a time, and what they take in px


def audit_table(rows: Sequence[AuditRow]) -> None:
    """A row an entry: when, who, what, and the details in words."""
    st.dataframe(
        [
            {
                "When, UTC": row.at,
                "Who": row.who,
                "What": row.what,
                "Line": row.line,
                "Details": details_in_words(row.details),
            }
            for row in rows
        ],
        hide_index=True,
        height="content" if len(rows) < MOST_ROWS else HEIGHT,
        alt="Who changed what",
        column_config={
            "When, UTC": st.column_config.DatetimeColumn(format="YYYY-MM-DD HH:mm:ss"),
            "Details": st.column_config.TextColumn(width="large"),
        },
    )


def details_in_words(details: dict[str, Any]) -> str:
    """ "batch 7, title Lot 7"; what changed as "reject_above from 0.6 to 0.8"."""
    words = []
    for name, value in details.items():
        if name == "changed" and isinstance(value, dict):
            words += [
                f"{field} from {_shown(old)} to {_shown(new)}"
                for field, (old, new) in value.items()
            ]
        elif value not in ("", None, [], {}):
            words.append(f"{name.replace('_', ' ')} {_shown(value)}")
    return "; ".join(words)


def _shown(value: Any) -> Any:
    """A list as people write it."""
    return ", ".join(map(str, value)) or "none" if isinstance(value, list) else value
