"""DefectVision: visual inspection of parts, from the labelled image to the verdict."""

__version__ = "0.1.0"
