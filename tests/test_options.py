"""What is written behind %agent: a rule that no tool can meet is refused, since it would deny nothing."""

from __future__ import annotations

import pytest

from nbsessions import InvalidInput, Policy
from nbsessions.options import LINE, parse


@pytest.mark.parametrize("verdict", ["allow", "ask", "deny"])
@pytest.mark.parametrize(
    ("written", "told"),
    [("'rm_*'", "in double quotes"), ("look rm,mv", "with spaces between them, not rm,mv")],
)
def test_a_pattern_that_no_tool_meets_is_refused(verdict: str, written: str, told: str) -> None:
    with pytest.raises(InvalidInput, match=f"--{verdict} takes patterns .*{told}"):
        parse("%agent", LINE, f"--policy allow --{verdict} {written}")


@pytest.mark.parametrize("pattern", ["'rm'", "rm,mv"])
def test_what_denies_no_tool_is_no_policy_either(pattern: str) -> None:
    for verdict in ("ask", "deny"):
        with pytest.raises(InvalidInput, match=f"{verdict} takes patterns of tool names, one an item"):
            Policy("allow", **{verdict: ["rm_*", pattern]})
    # What allows too little lets nothing through: a tool may be called so.
    assert Policy("ask").always(pattern).verdict(pattern) == "allow"


def test_patterns_stand_as_they_are_or_in_double_quotes() -> None:
    options = parse("%agent", LINE, '--allow "read_*" fs.list --deny [rm]*_all')
    assert (options.allow, options.deny) == (["read_*", "fs.list"], ["[rm]*_all"])
    assert parse("%agent", LINE, "--deny").deny == []
