"""Stand-ins that many tests share: bundles, stores, pictures, a server. None needs a browser."""
