"""The record of a lot: all that its report says, as text that anybody can hash and read.

Its SHA-256 stands on the report; the same lot under the same policy and the same decisions gives
the same bytes, whenever and wherever it is written.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import Any

from defectvision.bundle.labels import join_labels
from defectvision.bundle.policy import Policy
from defectvision.store.results import Results
from defectvision.store.selection import Selection
from defectvision.store.stored import StoredInspection

FORMAT = 1
# What the hash is made from, as the report says it.
MADE_FROM = (
    "file names, SHA-256 of the image files, scores, probabilities, verdicts, decisions with name, "
    "moment and note, the policy, the bundle's version, and the files that were not inspected; the "
    "export Record is this text"
)


def record(results: Results, selection: Selection, rows: Iterable[StoredInspection]) -> bytes:
    """The record of the selected `rows` as UTF-8 JSON, its keys in order, no blank in it."""
    batch, policy = results.batch, selection.policy
    content = {
        "format": FORMAT,
        "lot": {
            "number": batch.id,
            "title": batch.title,
            "started_by": batch.who,
            "started_at": batch.made.isoformat(),
        },
        "line": batch.line,
        "bundle": batch.bundle,
        "bundle_version": batch.bundle_version,
        "policy": _policy(policy),
        "selection": selection.words,
        "parts": [_part(row, policy) for row in rows],
        "not_inspected": [{"name": e.name, "reason": e.reason} for e in results.errors()],
    }
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.encode()


def _policy(policy: Policy) -> dict[str, Any]:
    """Without what came to policies later and says nothing in this one: records from before keep
    their bytes."""
    content = policy.model_dump(mode="json")
    for name in ("zones", "rules", "score_decides"):
        if getattr(policy, name) == Policy.model_fields[name].default:
            del content[name]
    return content


def digest_of_record(content: bytes) -> str:
    """SHA-256 of a record, as hex digits."""
    return hashlib.sha256(content).hexdigest()


def _part(row: StoredInspection, policy: Policy) -> dict[str, Any]:
    decision = row.decision
    rules = {"broken_rules": row.broken_in_words(policy)} if policy.rules else {}
    return {
        **rules,
        "name": row.name,
        "sha256": row.row.digest,
        "defect_score": row.defect_score,
        "foreign_score": row.foreign_score,
        "objection": row.objection,
        "probabilities": dict(row.probabilities),
        "verdict": row.verdict(policy).value,
        "label": join_labels(row.labels(policy)),
        "final_verdict": row.final_verdict(policy).value,
        "final_label": join_labels(row.final_labels(policy)),
        "decided_by": decision.who if decision else "",
        "decided_at": decision.at.isoformat() if decision else None,
        "note": decision.note if decision else "",
    }
