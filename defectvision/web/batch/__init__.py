"""The Batches and Results pages."""
