"""Images that the program draws, with their truth."""
