"""
Where the tokens went, as charts: of a store, of a session, or of a frame.

Each function returns a `Chart`. JupyterLab draws it, exported notebooks and GitHub show its picture, a
terminal its text; ``chart.save("cost.png")`` keeps it::

    from nbsessions import charts

    charts.cost(store, since="30d")
    charts.context(session)
    charts.latency(nbs.runs_df(store))
"""

from __future__ import annotations

from nbsessions.charts.byrun import context, latency
from nbsessions.charts.chart import Chart
from nbsessions.charts.overtime import cache, cost, tokens
from nbsessions.charts.ranked import tool_calls, top_sessions

__all__ = ["Chart", "cache", "context", "cost", "latency", "tokens", "tool_calls", "top_sessions"]
