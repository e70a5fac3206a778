"""An image that cannot be used: which, why, and what to do about it."""

from __future__ import annotations


class ImageError(ValueError):
    """An image that cannot be inspected: which, why, and what to do about it."""

    def __init__(self, name: str, reason: str, remedy: str) -> None:
        super().__init__(f"{name}: {reason}. {remedy}")
        self.name, self.reason, self.remedy = name, reason, remedy

    def __reduce__(self) -> tuple[type[ImageError], tuple[str, str, str]]:
        return ImageError, (self.name, self.reason, self.remedy)


class Refusal(Exception):  # noqa: N818 - the word of the field; it never leaves the decoder
    """Reason and remedy, raised where the image's name is not at hand."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(reason, remedy)
        self.reason, self.remedy = reason, remedy
