"""What a file is by its first bytes; the name and its suffix say nothing."""

from __future__ import annotations

from PIL import (
    BmpImagePlugin,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from defectvision.inference.image_error import Refusal

FORMATS = "BMP, JPEG, PNG, TIFF or WebP"
SAVE_AS = f"Save it as {FORMATS}."
COPY_AGAIN = "Copy or export the image again."
DEVELOP = f"Develop it with the camera maker's program, and save it as {FORMATS}."

_READERS: tuple[tuple[bytes, type[ImageFile.ImageFile]], ...] = (
    (b"\xff\xd8\xff", JpegImagePlugin.JpegImageFile),
    (b"\x89PNG\r\n\x1a\n", PngImagePlugin.PngImageFile),
    (b"II*\0", TiffImagePlugin.TiffImageFile),
    (b"MM\0*", TiffImagePlugin.TiffImageFile),
    (b"II+\0", TiffImagePlugin.TiffImageFile),
    (b"MM\0+", TiffImagePlugin.TiffImageFile),
    (b"BM", BmpImagePlugin.BmpImageFile),
)
# Sound files of kinds that are not read: what they are, by their first bytes, and what helps.
_OTHERS: tuple[tuple[bytes, str, str], ...] = (
    (b"GIF8", "a GIF", SAVE_AS),
    (b"%PDF", "a PDF document", SAVE_AS),
    (b"PK\x03\x04", "a zip archive or an office document", SAVE_AS),
    (b"8BPS", "a Photoshop document", SAVE_AS),
    (b"\0\0\0\x0cjP  ", "a JPEG 2000 image", SAVE_AS),
    (b"\xff\x4f\xff\x51", "a JPEG 2000 image", SAVE_AS),
    (b"\xff\x0a", "a JPEG XL image", SAVE_AS),
    (b"\0\0\0\x0cJXL ", "a JPEG XL image", SAVE_AS),
    (b"\xd7\xcd\xc6\x9a", "a Windows metafile", SAVE_AS),
    (b"\x76\x2f\x31\x01", "an OpenEXR image", SAVE_AS),
    (b"#?RADIANCE", "a Radiance HDR image", SAVE_AS),
    (b"SIMPLE  =", "a FITS image", SAVE_AS),
    (b"qoif", "a QOI image", SAVE_AS),
    (b"\0\0\1\0", "an icon", SAVE_AS),
    (b"DDS ", "a DirectDraw texture", SAVE_AS),
    (b"IIRO", "a raw photograph (ORF)", DEVELOP),
    (b"MMOR", "a raw photograph (ORF)", DEVELOP),
    (b"IIU\0", "a raw photograph (RW2)", DEVELOP),
    (b"FUJIFILMCCD-RAW", "a raw photograph (RAF)", DEVELOP),
    (b"FOVb", "a raw photograph (X3F)", DEVELOP),
    (b"\x1f\x8b", "a gzip archive", "Unpack it first."),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", "Unpack it first."),
    (b"Rar!\x1a\x07", "a RAR archive", "Unpack it first."),
    (b"\x93NUMPY", "a NumPy array", SAVE_AS),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file", SAVE_AS),
    (b"\0\0\1\xba", "a video", "Save the frame to inspect as an image."),
    (b"\x1a\x45\xdf\xa3", "a video", "Save the frame to inspect as an image."),
)
_NETPBM = {
    b"1": "PBM",
    b"2": "PGM",
    b"3": "PPM",
    b"4": "PBM",
    b"5": "PGM",
    b"6": "PPM",
    b"7": "PAM",
}


def reader_of(data: bytes) -> type[ImageFile.ImageFile]:
    """Pillow's reader for a file; raises Refusal that names what else it is."""
    if not data:
        raise Refusal("an empty file", COPY_AGAIN)
    if data.startswith(bytes(16)) and not data.strip(b"\0"):
        raise Refusal("a file of nothing but zeros", f"It was not written to its end. {COPY_AGAIN}")
    for signature, reader in _READERS:
        if data.startswith(signature):
            return reader
    if data.startswith(b"RIFF"):
        if data[8:12] == b"WEBP":
            return WebPImagePlugin.WebPImageFile
        if data[8:12] == b"AVI ":
            raise Refusal("a video", "Save the frame to inspect as an image.")
    for signature, what, remedy in _OTHERS:
        if data.startswith(signature):
            raise Refusal(what, remedy)
    if data[:1] == b"P" and data[1:2] in _NETPBM and data[2:3].isspace():
        raise Refusal(f"a {_NETPBM[data[1:2]]} image (netpbm)", SAVE_AS)
    if data[128:132] == b"DICM":
        raise Refusal("a DICOM image", SAVE_AS)
    if data[4:8] == b"ftyp":
        brand = data[8:12].decode("ascii", "replace").strip()
        raise Refusal(f"a HEIC, AVIF or video file ({brand!r})", SAVE_AS)
    if data[257:262] == b"ustar":
        raise Refusal("a tar archive", "Unpack it first.")
    if data[:64].lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        raise Refusal(
            "a web page or other text with tags", "Download the image itself, not its page."
        )
    raise Refusal("not an image of a known format", SAVE_AS)
