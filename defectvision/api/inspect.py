"""One image, inspected and not kept."""

from __future__ import annotations

from typing import Annotated

from fastapi import (
    APIRouter,
    Depends,
    File,
    Form,
    UploadFile,
)

from defectvision.api.access import REFUSALS, Inspects, refused
from defectvision.api.asking import Ask, Asked, asking
from defectvision.api.monitoring import inspected
from defectvision.api.schemas import Judgement
from defectvision.api.stored import Stored
from defectvision.bundle.reader import NoSuchBundleError
from defectvision.inference.decode_memory import BusyError
from defectvision.inference.images import ImageError
from defectvision.store.policies import in_force

router = APIRouter()


@router.post("/v1/inspect", tags=["inspect"], responses=REFUSALS)
def inspect(
    _who: Inspects,
    store: Stored,
    ask: Annotated[Ask, Depends(asking)],
    file: Annotated[UploadFile, File(description="an image file")],
    line: Annotated[str, Form(min_length=1)],
    bundle: Annotated[str | None, Form(min_length=1)] = None,
) -> Judgement:
    """Inspect one image under the policy in force; nothing of it is kept."""
    try:
        found, about = ask(Asked(line, bundle, file.file.read(), file.filename or "image"))
    except NoSuchBundleError as error:
        raise refused(404, str(error)) from error
    except BusyError as error:
        raise refused(503, str(error), **{"Retry-After": "5"}) from error
    except ImageError as error:
        raise refused(400, str(error)) from error
    with store.reading() as session:
        policy = in_force(session, about.line, about.name, about.policy).policy
    inspected.labels(line, found.verdict(policy).value).inc()
    return Judgement.model_validate(found.as_json(policy))
