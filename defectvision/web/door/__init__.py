"""The door in front of the pages: whether a server may start, who comes in, and the form."""
