"""`defectvision operating-point`: what thresholds come to, and thresholds by cost or by promise."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from defectvision.bundle.policy import Policy, thresholds_in_words
from defectvision.cli.inspect import open_inspector
from defectvision.cli.kept import ask_now, from_store, labelled_source, number_of
from defectvision.cli.options import BundleName, Good, Json, Weights, finite
from defectvision.cli.policy import choose_policy
from defectvision.cli.terminal import clear_errors, end, err, out
from defectvision.people import unproven
from defectvision.settings import settings, the_store

if TYPE_CHECKING:
    from defectvision.bundle.schema import LoadedBundle
    from defectvision.evaluation.consequences import Consequence, Costs
    from defectvision.evaluation.kept import Kept

Cost = Annotated[float | None, typer.Option(min=0, callback=finite)]


def operating_point(
    evaluation: Annotated[
        str, typer.Argument(help="a kept evaluation by number; --data FOLDER in its place")
    ] = "",
    data: Annotated[Path | None, typer.Option(help="labelled images")] = None,
    line: Annotated[str, typer.Option("--line", help="the line, for example casting")] = "",
    bundle: BundleName = None,
    weights: Weights = None,
    split: Annotated[str, typer.Option(help="only this split of the catalog")] = "",
    good: Good = None,
    escapes: Annotated[
        str, typer.Option(help="share of defective parts accepted at most, for example 1%")
    ] = "",
    overkills: Annotated[
        str, typer.Option(help="with --on-average: share of good parts rejected at most")
    ] = "",
    on_average: Annotated[
        bool,
        typer.Option("--on-average", help="promise it on average (conformal), not 95 % sure"),
    ] = False,
    cost_escape: Cost = None,
    cost_overkill: Cost = None,
    cost_review: Cost = None,
    defect_rate: Annotated[
        str, typer.Option(help="expected share of defective parts, for example 2%")
    ] = "",
    accept_below: Annotated[float | None, typer.Option(min=0, max=1)] = None,
    reject_above: Annotated[float | None, typer.Option(min=0, max=1)] = None,
    put_in_force: Annotated[
        bool, typer.Option("--put-in-force", help="save the policy for everyone")
    ] = False,
    who: Annotated[str, typer.Option(help="your name, kept with the policy")] = "command line",
    why: Annotated[str, typer.Option(help="the reason, kept with the policy")] = "",
    as_json: Json = False,
) -> None:
    """Say what thresholds come to: those in force, given ones, those of least cost, or those that
    keep escapes within a share. Images that the bundle learned from do not count."""
    with clear_errors():
        if put_in_force and not why.strip():
            raise ValueError("a policy that is put in force needs a reason: --why '...'")
        if bool(evaluation) == (data is not None):
            raise ValueError("give either a kept evaluation by its number or --data FOLDER")
        from defectvision.evaluation.consequences import consequence, least_cost
        from defectvision.evaluation.promises import conformal_band, most_escapes

        costs = _costs(cost_escape, cost_overkill, cost_review, defect_rate)
        kept, loaded, before = _asked(evaluation, data, line, bundle, weights, split, good or ())
        failures = kept.about.failures if data is not None else ()
        kept = kept.take(kept.unseen) if kept.unseen.any() else kept
        words = ""
        given = {"accept_below": accept_below, "reject_above": reject_above}
        changes = {name: value for name, value in given.items() if value is not None}
        policy = Policy.model_validate(before.model_dump() | changes)
        if escapes:
            asked = share_of(escapes)
            if on_average:
                most = share_of(overkills) if overkills else None
                promise = conformal_band(kept, policy, asked, most)
            else:
                promise = most_escapes(kept, policy, asked)
            if promise.policy is None:
                raise ValueError(promise.words)
            policy, words = promise.policy, promise.words
        elif costs is not None and not changes:
            policy = least_cost(kept, policy, costs)
        found = consequence(kept, policy, costs)
        if put_in_force:
            _save(loaded, policy, before, who, why)
        if as_json:
            from defectvision.report.evaluation.content import plain_values

            print(json.dumps({**plain_values(found), "promise": words}))
        else:
            _print(kept, found, words)
    end(failures)


def share_of(text: str) -> float:
    """A share as people type it: "1%", "1 %" or "0.01"; raises ValueError."""
    plain = text.strip().replace(" ", "")
    try:
        value = float(plain[:-1]) / 100 if plain.endswith("%") else float(plain)
    except ValueError:
        raise ValueError(f"'{text}': give a share such as 1% or 0.01") from None
    if not 0 <= value <= 1:
        raise ValueError(f"'{text}': a share lies between 0 and 100 %")
    return value


def _costs(
    escape: float | None, overkill: float | None, review: float | None, rate: str
) -> Costs | None:
    from defectvision.evaluation.consequences import Costs

    if escape is None and overkill is None and review is None and not rate:
        return None
    if escape is None or overkill is None or review is None or not rate:
        raise ValueError(
            "costs need all four: --cost-escape, --cost-overkill, --cost-review, --defect-rate"
        )
    return Costs(escape, overkill, review, share_of(rate))


def _asked(
    evaluation: str,
    data: Path | None,
    line: str,
    bundle: str | None,
    weights: Path | None,
    split: str,
    good: list[str] | tuple[str, ...],
) -> tuple[Kept, LoadedBundle, Policy]:
    """The evaluation, the bundle as it is now, and the policy in force for it."""
    if data is not None:
        if not line:
            raise ValueError("say which line it is, for example --line casting")
        inspector = open_inspector(weights, line, bundle)
        policy = choose_policy(inspector.loaded, "")
        source = labelled_source(data, split, good)
        return ask_now(inspector, source, policy)[0], inspector.loaded, policy
    from defectvision.bundle.reader import load_bundle

    kept, about = from_store(number_of(evaluation)), settings()
    name = kept.line.name
    loaded = load_bundle(weights or about.weights, name, kept.about.bundle, about.limits.trusted)
    if loaded.version != kept.about.version:
        raise ValueError(
            f"evaluation {evaluation} is of version {kept.about.version} of bundle "
            f"{kept.about.bundle}, which is version {loaded.version} now. Evaluate it again"
        )
    return kept, loaded, choose_policy(loaded, "")


def _save(loaded: LoadedBundle, policy: Policy, before: Policy, who: str, why: str) -> None:
    from defectvision.store.policies import save

    line, bundle = loaded.line.name, loaded.bundle.name
    with the_store().session() as session:
        own = loaded.bundle.policy
        row = save(session, line, bundle, policy, unproven(who), why.strip(), before, own)
        number = row.number
    err.say(f"in force for everyone as policy {number} of {line} / {bundle}", style="dim")


def _print(kept: Kept, found: Consequence, words: str) -> None:
    from rich.table import Table

    from defectvision.report.evaluation.words import consequence_rows, expected_words

    about = kept.about
    out.say(f"{about.line.name} / {about.bundle}: {thresholds_in_words(found.policy)}")
    if words:
        out.say(words)
    table = Table()
    for column in ("what", "share", "95 % interval", "images", "per 1000 parts"):
        table.add_column(column)
    for row in consequence_rows(found):
        table.add_row(*row)
    out.print(table)
    if found.cost is not None:
        out.say(f"Expected cost per 1000 parts: {expected_words(found.cost)}")
