"""Readers of published layouts: each gives a catalog."""
