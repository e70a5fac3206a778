"""The Lines page."""
