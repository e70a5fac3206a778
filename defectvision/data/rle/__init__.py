"""Run-length encoded masks."""
