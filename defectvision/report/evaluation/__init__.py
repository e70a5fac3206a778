"""An evaluation as figures, as one HTML file, and as JSON."""
