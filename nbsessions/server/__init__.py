"""The HTTP face: a Jupyter Server extension with one handler, and one table of routes below it."""
