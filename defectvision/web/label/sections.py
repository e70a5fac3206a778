"""The sections of a labelled set's page, in the order in which they are needed."""

from __future__ import annotations

from collections.abc import Callable

from defectvision.people import Person
from defectvision.store.database import Store
from defectvision.store.tables import LabelledSetRow
from defectvision.web.label.hand_over import hand_over
from defectvision.web.label.images import images
from defectvision.web.label.labelling import label_images
from defectvision.web.label.teaching import teaching

Section = Callable[[Store, LabelledSetRow, Person], None]
SECTIONS: dict[str, Section] = {
    "Images": images,
    "Label": label_images,
    "Train": teaching,
    "Hand over": hand_over,
}
