"""Reader of Pascal VOC sets: XML files with boxes or polygons, segmentations, or both.

As the devkit, CVAT, Roboflow and labelImg write them, and as NEU-DET is published: `Annotations/`
beside `JPEGImages/`, `images/` or folders of classes in it, or each file beside its image.
"""

from __future__ import annotations

from pathlib import PurePosixPath

from defectvision.data.catalog import CatalogError, LeftOut
from defectvision.data.image_names import is_image_name
from defectvision.data.readers.annotated import AnnotatedSet, Marked, Read, Told, pairs_of
from defectvision.data.readers.set_files import Pairing, SetFiles, read_text
from defectvision.data.readers.voc_masks import marked_in, read_classes
from defectvision.data.readers.voc_xml import image_name, looks_like_voc, marked_by, read_xml

LOOKED_AT, LARGEST_LIST = 5, 64 * 1024 * 1024
MASK_FOLDERS = frozenset({"segmentationclass", "segmentationclasspng"})
LISTS = "imagesets"
LIST_SPLITS = {"train": "train", "val": "val", "test": "test", "trainval": "train"}


def is_voc(files: SetFiles) -> bool:
    """Whether a folder of segmentations is there, or one of the first XML files, of those with the
    name of an image before others, is an annotation."""
    if _masks(files):
        return True
    return any(looks_like_voc(files.root / file) for file in files.first(".xml", LOOKED_AT))


def read_voc(files: SetFiles) -> Read:
    """The catalog, its annotations, and whether any image is there.

    Of an image with a segmentation that counts, and of its XML the classes that have no pixel in
    it. Splits are those of `ImageSets/`, else of the folders. An image without either is good.
    Raises CatalogError where a name fits two images and where no text tells the classes of masks.
    """
    photographs, masks, strays = files.apart()
    pairing = Pairing(files.root, photographs)
    told = {}
    for file in files.of(".xml"):
        said, certain = "", looks_like_voc(files.root / file)
        try:
            root = read_xml(files.root / file, str(file))
            said = image_name(root)
            told[file] = Told(said, marked_by(root, str(file)), certain)
        except CatalogError as error:
            told[file] = Told(said, error, certain)
    pairs = pairs_of(pairing, told)
    segmented = _segmented(files, pairing)
    described = {image for image in pairs.values() if image is not None}
    for image, mask in segmented.items():
        if image not in described:
            pairs[mask] = image
    classes = read_classes(files) if segmented else None

    def marked(file: PurePosixPath) -> Marked:
        image = pairs[file]
        mask = segmented.get(image) if image is not None else None
        if mask is None or classes is None:
            return told[file].read()
        found = marked_in(files.root / mask, str(mask), classes)
        if file != mask:
            drawn = {label for label, _ in found.places}
            found.places += [one for one in told[file].read().places if one[0] not in drawn]
        return found

    made = AnnotatedSet(files.root, "voc", pairs, photographs, masks, left_out=strays)
    lonely = set(_masks(files)) - set(segmented.values())
    made.left_out += [
        LeftOut(str(mask), "a mask of no photograph that is there", "Put the photograph there.")
        for mask in sorted(lonely)
    ]
    if photographs:
        made.split(_splits(files, pairing, made))
    return made.read(marked)


def _masks(files: SetFiles) -> list[PurePosixPath]:
    return [
        folder / name
        for folder, names in files.images.items()
        if any(part.casefold() in MASK_FOLDERS for part in folder.parts)
        for name in names
    ]


def _segmented(files: SetFiles, pairing: Pairing) -> dict[PurePosixPath, PurePosixPath]:
    """The segmentation of each image that has one. Raises CatalogError where one has two."""
    found: dict[PurePosixPath, PurePosixPath] = {}
    for mask in _masks(files):
        image = pairing.image_of(mask)
        if image is not None and found.setdefault(image, mask) != mask:
            raise CatalogError(
                f"{files.root}: {image} has two masks, {found[image]} and {mask}. Keep one there."
            )
    return found


def _splits(files: SetFiles, pairing: Pairing, made: AnnotatedSet) -> dict[str, list[str]]:
    """The images of each split by the lists of the devkit, of Main before others; trainval counts
    where train and val are not there."""
    lists = [
        file
        for file in files.of(".txt")
        if file.stem in LIST_SPLITS and file.parent.parent.name.casefold() == LISTS
    ]
    lists.sort(key=lambda file: (file.parent.name.casefold() != "main", file))
    first = {file.parent.parent: file.parent for file in reversed(lists)}
    lists = [file for file in lists if file.parent == first[file.parent.parent]]
    whole = {file.parent for file in lists if file.stem in ("train", "val")}
    lists = [file for file in lists if file.stem != "trainval" or file.parent not in whole]
    found: dict[str, list[str]] = {}
    for file in lists:
        top = file.parent.parent.parent
        missing = []
        try:
            lines = read_text(files.root / file, LARGEST_LIST, file).splitlines()
        except CatalogError as error:
            made.warnings.append(str(error))
            continue
        for name in (line.split()[0] for line in lines if line.strip()):
            bare = str(PurePosixPath(name).with_suffix("")) if is_image_name(name) else name
            image = pairing.image_of(top / "annotations" / f"{bare}.xml")
            if image is None:
                missing.append(name)
            else:
                found.setdefault(LIST_SPLITS[file.stem], []).append(str(image))
        if missing:
            reason = f"{len(missing)} images that it names are not there, first {missing[0]!r}"
            remedy = "Put them there, or take the lines out."
            made.left_out.append(LeftOut(str(file), reason, remedy))
    return found
