"""Labelling an image by hand: its classes and its masks."""
