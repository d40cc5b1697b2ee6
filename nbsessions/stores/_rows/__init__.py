"""
Rows and records: the tables of the SQL stores, their statements, and the way from one to the other.

Times are microseconds since 1970, costs are billionths of a US dollar. Where a row points to
another inside the database, it does so by integer.
"""
