"""What can leave the Inspect page: the open image, and the table of all."""

from __future__ import annotations

from collections.abc import Sequence

from defectvision.bundle.policy import Policy
from defectvision.bundle.schema import LoadedBundle, Origin
from defectvision.inference.heatmap import Heatmap
from defectvision.inference.images import decode_image
from defectvision.report.export import Format, regions_csv, result_json, results_csv
from defectvision.report.picture import annotated_png
from defectvision.settings import settings
from defectvision.web.export_menu import Group, file_stem
from defectvision.web.open_image import OpenImage
from defectvision.web.session.images import Result
from defectvision.words import counted


def of_image(
    data: bytes, image: OpenImage, heatmap: Heatmap, policy: Policy, loaded: LoadedBundle
) -> Group:
    """The open image: as an object, and as a picture with what the model saw in its file `data`."""
    inspection, synthetic = image.inspection, image.synthetic

    def as_json() -> str:
        return result_json(inspection, policy, loaded, synthetic)

    def as_picture() -> bytes:
        pixels = decode_image(
            data, inspection.name, settings().limits.pixels, bits=inspection.line.bits
        )
        return annotated_png(pixels, inspection, policy, loaded, heatmap, synthetic=synthetic)

    formats = (
        Format("JSON", ".json", "application/json", as_json),
        Format("Annotated PNG", "_annotated.png", "image/png", as_picture),
    )
    return Group("The open image", file_stem(inspection.name), formats)


def of_all(results: Sequence[Result], policy: Policy, loaded: LoadedBundle) -> Group:
    """All images of the line, with those that could not be inspected; regions where it segments."""
    inspections = [r.inspection for r in results if r.inspection is not None]
    errors = [r.error for r in results if r.error is not None]
    drawn = {r.entry.name for r in results if r.entry.synthetic}
    origin = Origin.of(loaded)

    def as_csv() -> bytes:
        return results_csv(inspections, policy, origin, errors, drawn)

    def regions_as_csv() -> bytes:
        return regions_csv(inspections, policy, origin, drawn)

    formats = [Format("Results as CSV", ".csv", "text/csv", as_csv)]
    if loaded.bundle.mask_classes:
        formats.append(Format("Regions as CSV", "_regions.csv", "text/csv", regions_as_csv))
    title = f"{counted(len(results), 'image')} of this session"
    return Group(title, f"defectvision_{loaded.line.name}", formats)
