"""Ours and its peers, put to the same tests by the calls that all of them have."""
