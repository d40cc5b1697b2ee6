"""
What the agent sees of a session: all of it, or what limits and summaries leave. What is stored stays whole.

`trimming` says which messages are sent, `counting` how many tokens they have.
"""

from __future__ import annotations

from nbsessions.context.counting import Size, Told, estimate, sizes
from nbsessions.context.trimming import Context, Seen, trim

__all__ = ["Context", "Seen", "Size", "Told", "estimate", "sizes", "trim"]
