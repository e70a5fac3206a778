"""What the pictures of a labelled set say: measures, near-copies, shortcuts, a map."""
