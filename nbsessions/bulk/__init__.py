"""Many sessions deleted, tagged or renamed together, and the report of it: for buttons and `df.nbs`."""
