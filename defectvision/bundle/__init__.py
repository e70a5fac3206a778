"""What everybody speaks of: a line, its bundles on disk, the policy, and the names in labels."""
