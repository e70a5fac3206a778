"""The shop-floor view: one part, read from afar."""
