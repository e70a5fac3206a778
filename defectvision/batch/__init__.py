"""Many images: where they come from, and the worker that inspects them."""
