"""What the REST API takes and gives."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field

from defectvision.bundle.policy import Policy, Verdict
from defectvision.finding import Condition
from defectvision.store.batches import Engine, State

TEXT = r"^[^\x00]*$"  # what a database can keep
KEEP = r"^(all|defects|none|[1-9][0-9]{0,3})$"


class Failure(BaseModel):
    """Why a request was refused, and what to do."""

    detail: str


class Region(BaseModel):
    """One connected defect area, in px and, where the policy knows the scale, in mm."""

    class_name: str = Field(alias="class")
    area_px: int
    length_px: float
    width_px: float
    x_px: float
    y_px: float
    box_px: list[int] = Field(description="left, top, width, height")
    probability: float
    area_mm2: float | None
    length_mm: float | None
    width_mm: float | None
    zones: list[str] = Field(description="of the policy, that it reaches into")


class Label(BaseModel):
    name: str
    probability: float
    named: bool = Field(description="whether the policy names this class")


class Objection(BaseModel):
    """Why there can be no verdict on an image: it goes to review whatever its scores are."""

    kind: Literal["unlike", "quality"]
    words: str


class Judgement(BaseModel):
    """One inspected image under the policy in force."""

    id: int | None = Field(None, description="number in the store; null where nothing was kept")
    path: str
    line: str
    bundle_version: str
    policy: Policy
    verdict: Verdict
    label: str
    final_verdict: Verdict = Field(description="a person's decision where there is one")
    final_label: str
    decided_by: str
    decided_at: datetime | None
    note: str
    defect_score: float | None
    labels: list[Label]
    regions: list[Region] | None = Field(description="null where they are lost, see `lost`")
    broken_rules: list[str] = Field(description="of the policy, the strictest first")
    foreign_score: float = Field(description="above 1 where the image does not look like the line")
    objections: list[Objection]
    milliseconds: dict[str, float]
    lost: str = Field("", description="why the regions cannot be had, where they cannot")


class NewBatch(BaseModel):
    """A batch from a folder that lies below one of the server's source roots."""

    line: str
    bundle: str | None = None
    path: str = Field(pattern=TEXT, max_length=4000)
    watch: bool = False
    title: str = Field("", pattern=TEXT, max_length=200)
    keep: str = Field(
        "all", pattern=KEEP, description="pictures: all, defects, none, or for a number of days"
    )


class Batch(BaseModel):
    id: int
    title: str
    line: str
    bundle: str
    bundle_version: str
    state: State
    engine: Engine
    message: str
    made: datetime
    ended: datetime | None
    waiting: int
    done: int
    failed: int
    repeated: int
    passed_over: dict[str, int]
    seconds: float


class FailedFile(BaseModel):
    """A file that could not be inspected, why, and what to do."""

    path: str
    reason: str
    remedy: str


class FailedFiles(BaseModel):
    """A page of the files of a batch that could not be inspected; `images` counts all."""

    images: int
    files: list[FailedFile]


class Move(BaseModel):
    state: Literal["paused", "running", "cancelled", "done"]


class Page(BaseModel):
    """A page of a batch's results; the counts are of all that the filter leaves."""

    images: int
    verdicts: dict[Verdict, int]
    classes: dict[str, int]
    results: list[Judgement]


class Decision(BaseModel):
    decision: Literal["accept", "reject", "unusable"]
    label: str = Field("", pattern=TEXT, max_length=500)
    why: str = Field("", pattern=TEXT, max_length=2000)


class Review(Decision):
    id: int
    inspection: int
    who: str
    at: datetime
    model_verdict: Verdict


class Health(BaseModel):
    """status: the worst of the parts. attention: all works, but somebody should look at it."""

    status: Condition
    version: str
    parts: dict[str, Condition]


class LineAbout(BaseModel):
    name: str
    title: str
    classes: list[str]
    label_mode: str
    default_bundle: str
    problem: str | None = Field(
        None, description="why the line cannot be used, where it cannot; the rest is empty then"
    )
