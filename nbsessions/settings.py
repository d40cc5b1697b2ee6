"""What a person can set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from nbsessions.limits import Limits
    from nbsessions.moving import OnConflict
    from nbsessions.permissions import Policy, Verdict

Rerun = Literal["replace", "append", "replay"]
LIMITS: Final = ("cost", "requests", "total_tokens")
NO_LIMIT: Final = (None, "", "none", "off")


@dataclass
class Settings:
    """What a person can set for a whole notebook; ``%config SessionMagics`` shows the same.

    Examples
    --------
    >>> Settings().rerun
    'replace'
    """

    store: str | None = None
    agent: str | None = None
    model: str | None = None
    autosave: bool = True
    auto_resume: bool = True
    rerun: Rerun = "replace"
    on_conflict: OnConflict = "fork"
    policy: Verdict | None = None
    allow_tools: Sequence[str] = ()
    ask_tools: Sequence[str] = ()
    deny_tools: Sequence[str] = ()
    max_messages: int | None = None
    max_tokens: int | None = None
    max_events: int | None = None
    redact_secrets: bool | list[str] = True
    compact_at: int | None = None
    compact_with: str | None = None
    max_cost: str | None = None
    max_requests: str | None = None
    max_total_tokens: str | None = None

    def rules(self) -> Policy | None:
        """Return which tools may be called, where any of that is set: what no pattern names is asked about.

        Examples
        --------
        >>> Settings().rules() is None
        True
        >>> print(Settings(deny_tools=("rm_*",)).rules())
        deny rm_*; else ask
        """
        if self.policy is None and not (self.allow_tools or self.ask_tools or self.deny_tools):
            return None
        from nbsessions.permissions import Policy

        rules = {"deny": self.deny_tools, "allow": self.allow_tools, "ask": self.ask_tools}
        return Policy(self.policy or "ask", **rules)

    def limits(self, **once: str | None) -> Limits | None:
        """Return what may be spent; what is said this once goes before what is set.

        Raises
        ------
        InvalidInput

        Examples
        --------
        >>> settings = Settings(max_cost="0.50")
        >>> print(settings.limits(requests="20"))
        at most $0.50 a run, 20 requests a run
        >>> settings.limits(cost="off") is None
        True
        """
        from nbsessions.limits import Limits

        set_to = {kind: getattr(self, f"max_{kind}") for kind in LIMITS}
        meant = set_to | {kind: text for kind, text in once.items() if text is not None}
        return Limits(**{kind: text for kind, text in meant.items() if text not in NO_LIMIT}) or None
