"""Sessions of ours inside other frameworks: each module follows what its framework calls a session."""
