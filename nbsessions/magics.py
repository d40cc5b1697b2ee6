"""
The magics: ``%session``, ``%agent`` and ``%%agent``.

Thin: what they do is in `commands` and `asking`; here is the notebook's own, such as the cell that
asks, the values of its variables, and how a mistake looks.
"""

from __future__ import annotations

import atexit
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError
from IPython.core.getipython import get_ipython
from IPython.core.magic import Magics, line_cell_magic, line_magic, magics_class, no_var_expand
from traitlets import Bool, Enum, Int, List, TraitError, Unicode, Union

from nbsessions import commands
from nbsessions.arguments import HelpShown, Parser
from nbsessions.commands import agents
from nbsessions.completion import Completion
from nbsessions.exceptions import InvalidInput, LimitReached, NbsessionsError, RunCancelled, RunFailed
from nbsessions.notebook import cell_id, notebook_path
from nbsessions.options import CELL, LINE, check, check_variable, parse
from nbsessions.permissions import VERDICTS
from nbsessions.workspace import Workspace

if TYPE_CHECKING:
    from argparse import Namespace

    from IPython.core.interactiveshell import InteractiveShell

    from nbsessions.adapters.base import Adapter
    from nbsessions.session import Session

_PATH_SECONDS = 60.0
_PACKAGE = os.path.dirname(os.path.abspath(__file__))


class Stopped(KeyboardInterrupt):
    """A run that the person stopped: one line, and Run All stops."""

    def _render_traceback_(self) -> list[str]:
        return [str(self)]


class Failed(NbsessionsError):
    """A run that failed: one line, and Run All stops; ``%tb`` then shows what the agent raised, and where."""

    _told = False

    def _render_traceback_(self) -> list[str]:
        told, self._told = self._told, True
        shell, cause = get_ipython(), self.__cause__
        if not told or shell is None or cause is None:
            return [str(self)]
        trace = cause.__traceback__
        while trace is not None and trace.tb_frame.f_code.co_filename.startswith(_PACKAGE):
            trace = trace.tb_next
        found: list[str] = shell.InteractiveTB.structured_traceback(type(cause), cause, trace)
        return found


@contextmanager
def one_line() -> Iterator[None]:
    """Show our errors as one line, without a traceback."""
    try:
        yield
    except HelpShown:
        return
    except RunCancelled as error:
        raise Stopped(_spelled(f"{error} `%agent --retry` asks again.")) from None
    except LimitReached as error:
        if error.run_id is None:
            raise UsageError(_spelled(str(error))) from None
        raise Failed(f"{error} `%agent --retry` goes on then.") from error.__cause__
    except RunFailed as error:
        more = "`%agent --retry` asks again, `%tb` shows where it failed."
        raise Failed(f"{str(error).rstrip('.')}. {more}") from error.__cause__
    except KeyboardInterrupt:
        raise UsageError("Stopped.") from None
    except NbsessionsError as error:
        # Exactly UsageError: IPython prints a subclass of it with a traceback.
        raise UsageError(_spelled(str(error))) from None


def _spelled(text: str) -> str:
    return commands.spelled(text, "%session ")


@magics_class
class SessionMagics(Magics):
    """The magics of one shell; its traits are what ``%config SessionMagics`` sets."""

    store = Unicode(None, allow_none=True, help="Where sessions live: a path or a URL.").tag(config=True)
    agent = Unicode(None, allow_none=True, help="A variable that holds an agent, a model, or local.").tag(
        config=True
    )
    model = Unicode(None, allow_none=True, help="A model, such as openai:gpt-5.2.").tag(config=True)
    autosave = Bool(True, help="Save every turn as it is answered.").tag(config=True)
    auto_resume = Bool(True, help="Go on with this notebook's last session.").tag(config=True)
    rerun = Enum(
        ("replace", "append", "replay"), "replace", help="What a cell that is run again does to its turn."
    ).tag(config=True)
    on_conflict = Enum(("fork", "error"), "fork", help="What becomes of a turn that lost a race.").tag(
        config=True
    )
    policy = Enum(
        VERDICTS, None, allow_none=True, help="What becomes of calls of tools that no pattern names."
    ).tag(config=True)
    allow_tools = List(Unicode(), help="Patterns of tools that may be called.").tag(config=True)
    ask_tools = List(Unicode(), help="Patterns of tools to be asked about.").tag(config=True)
    deny_tools = List(Unicode(), help="Patterns of tools that may not be called.").tag(config=True)
    max_messages = Int(None, allow_none=True, min=1, help="How many messages the agent sees.").tag(
        config=True
    )
    max_tokens = Int(None, allow_none=True, min=1, help="How many tokens of messages the agent sees.").tag(
        config=True
    )
    compact_at = Int(
        None, allow_none=True, min=1, help="With more tokens to send, the older part is summed up first."
    ).tag(config=True)
    compact_with = Unicode(
        None, allow_none=True, help="Who sums up: a variable with an agent, or a model; None: who is asked."
    ).tag(config=True)
    max_cost = Unicode(
        None, allow_none=True, help="Dollars to spend at most in a run: 0.50, or 2/session, 5/day."
    ).tag(config=True)
    max_requests = Unicode(None, allow_none=True, help="Requests to models, likewise.").tag(config=True)
    max_total_tokens = Unicode(None, allow_none=True, help="Tokens to spend at most, likewise.").tag(
        config=True
    )
    max_events = Int(None, allow_none=True, min=1, help="How many events of a run are kept.").tag(config=True)
    redact_secrets = Union(
        [Bool(), List(Unicode())],
        default_value=True,
        help="Store no keys and passwords: True, False, or patterns of your own, which are looked for, too.",
    ).tag(config=True)

    def __init__(self, shell: InteractiveShell) -> None:
        super().__init__(shell=shell, parent=shell)
        self._ipython = shell
        self.workspace = Workspace(
            notebook=self._notebook,
            names=shell.user_ns,
            remember=lambda name, value: setattr(self, name, value),
            spell=_spelled,
        )
        arguments = {"%agent": LINE, "%%agent": CELL}
        self.completion = Completion(self.workspace, arguments, shell.user_ns_hidden)
        self._path: tuple[float, str | None] | None = None
        for name in self.class_own_traits(config=True):
            self.workspace.set(name, getattr(self, name))
            self.observe(lambda change: self.workspace.set(change.name, change.new), name)

    def leave(self) -> None:
        """Close the store at the end of the process; what is lost then is told."""
        try:
            self.workspace.close()
        except NbsessionsError as error:
            sys.stderr.write(f"nbsessions: {_spelled(str(error))} It is lost now.\n")

    def _notebook(self) -> str | None:
        # A rename is seen within a minute; to ask the server each time would cost more than a turn.
        if self._path is None or time.monotonic() - self._path[0] > _PATH_SECONDS:
            self._path = (time.monotonic(), notebook_path(self._ipython))
        return self._path[1]

    @no_var_expand
    @line_magic
    def session(self, line: str) -> object:  # noqa: D102 - made by _explain
        with one_line():
            result = commands.run_line(self.workspace, line, face="magic", prefix="%session ")
            for note in self.workspace.take_notes():
                print(note)
            if not isinstance(result, str):
                return result
            print(_spelled(result))
        return None

    @no_var_expand
    @line_cell_magic("agent")  # type: ignore[arg-type]
    def ask(self, line: str, cell: str | None = None) -> None:  # noqa: D102 - made by _explain
        with one_line():
            if cell is None:
                self._ask_line(parse("%agent", LINE, line))
            else:
                self._ask_cell(parse("%%agent", CELL, line), self._as_typed(cell))

    def _as_typed(self, cell: str) -> str:
        """Return a cell's text with the ``>>>`` that IPython takes away, as of code that was pasted."""
        history: Any = self._ipython.history_manager
        typed = history.input_hist_raw[-1] if history is not None and history.input_hist_raw else ""
        body = typed.partition("\n")[2]
        if not typed.startswith("%%agent") or body.strip("\n") == cell.strip("\n"):
            return cell
        # Only where this is the cell that runs, and not one that a loop in it asks.
        seen = self._ipython.input_transformer_manager.transform_cell(typed)
        return body if seen.endswith(f"{cell!r})\n") else cell

    def _ask_line(self, options: Namespace) -> None:
        workspace = self.workspace
        if options.into is not None and not options.retry:
            raise InvalidInput("%agent --into goes with --retry. In a cell, %%agent --into asks.")
        agents.choose(workspace, options)
        if options.retry:
            self._retry(options, workspace.need_session(), "")
            return
        print(agents.describe(workspace, options))

    def _ask_cell(self, options: Namespace, cell: str) -> None:
        check(options)
        text = (cell if options.raw else self._rendered(cell)).strip("\n")
        if options.retry:
            self._retry(options, self._loaded(options.session) or self.workspace.need_session(), text)
            return
        if not text.strip():
            raise InvalidInput("The prompt is empty. Write what the agent shall answer below %%agent.")
        if self._replayed(options, text):
            return
        model = options.model or (None if options.agent else self.workspace.settings.model)
        adapter = self.workspace.adapter(options.agent, model)
        session = self._session(options, adapter)
        self._ask(options, session, prompt=text, adapter=adapter, model=agents.other_model(model, adapter))

    def _replayed(self, options: Namespace, prompt: str) -> bool:
        """Show the stored answer where the cell wants that and there is one; no agent is needed then."""
        from nbsessions.rerunning import replay

        rerun = options.rerun or self.workspace.settings.rerun
        if rerun != "replay" or options.into is not None or options.new or options.fork:
            return False
        session = self._loaded(options.session) or self.workspace.find_session()
        cell: dict[str, Any] = {"cell_id": cell_id(self._ipython)}
        cell["execution"] = self._ipython.execution_count
        by_prompt = options.rerun is not None
        found = session is not None and replay(self.workspace, session, prompt, by_prompt=by_prompt, **cell)
        if not found and by_prompt and self.workspace.is_missing:
            raise InvalidInput(
                "The session of this notebook is not here, see its first cell: nobody was asked."
            )
        return found

    def _retry(self, options: Namespace, session: Session, text: str) -> None:
        """Send the prompt that was not answered again: to the agent that was asked, or to another."""
        check_variable(options.into)
        again = agents.retried(self.workspace, session, options, text)
        self._ask(options, session, **again, cell_id=again["retry"].cell_id or cell_id(self._ipython))

    def _ask(self, options: Namespace, session: Session, **question: Any) -> None:
        from nbsessions.asking import Question, ask

        more: dict[str, Any] = {
            "cell_id": cell_id(self._ipython),
            "max_messages": getattr(options, "max_messages", None),
            "max_tokens": getattr(options, "max_tokens", None),
            "limits": agents.limits(self.workspace, options),
            "rerun": getattr(options, "rerun", None) or self.workspace.settings.rerun,
            "save": not getattr(options, "no_save", False),
            "execution": self._ipython.execution_count,
            "wants_output": options.into is not None,
            "by_prompt": getattr(options, "rerun", None) is not None,
        }
        output = ask(self.workspace, session, Question(**more | question))
        if options.into is not None:
            self._ipython.user_ns[options.into] = output

    def _rendered(self, cell: str) -> str:
        from nbsessions.prompts import render

        shell = self._ipython
        return render(cell, lambda source: eval(source, shell.user_global_ns, shell.user_ns))

    def _loaded(self, ref: str | None) -> Session | None:
        """Make the session of --session the current one, where it is given."""
        if ref is None:
            return None
        session = self.workspace.resume(ref)
        if self.workspace.session is None or self.workspace.session.key != session.key:
            self.workspace.switch(session, "load")
        return self.workspace.session

    def _session(self, options: Namespace, adapter: Adapter) -> Session:
        workspace = self.workspace
        if options.new:
            return workspace.create(None, adapter.name)
        session = self._loaded(options.session) or workspace.current(adapter.name)
        if options.fork:
            session = session.fork()
            workspace.switch(session, "fork")
        return session


def load(shell: InteractiveShell) -> None:
    """Register the magics and their completion with a shell.

    Examples
    --------
    >>> from IPython.core.interactiveshell import InteractiveShell
    >>> shell = InteractiveShell.instance()
    >>> load(shell)
    >>> sorted(name for name in shell.magics_manager.magics["line"] if name in ("agent", "session"))
    ['agent', 'session']
    >>> unload(shell)
    """
    unload(shell)
    try:
        magics = SessionMagics(shell)
    except TraitError as error:
        unload(shell)
        shell.config.pop("SessionMagics", None)
        raise UsageError(
            f"A setting of nbsessions cannot be used, and is dropped: {error} Load it again."
        ) from None
    atexit.register(magics.leave)
    shell.register_magics(magics)
    if shell.Completer is not None:
        shell.Completer.custom_matchers.append(magics.completion.matcher)


def unload(shell: InteractiveShell) -> None:
    """Take the magics away again, and close the store.

    Raises
    ------
    UsageError
        An answer waits to be saved, and would be lost.

    Examples
    --------
    >>> from IPython.core.interactiveshell import InteractiveShell
    >>> unload(InteractiveShell.instance())
    """
    configurables: list[Any] = shell.configurables
    for magics in [found for found in configurables if isinstance(found, SessionMagics)]:
        if not hasattr(magics, "completion"):  # a setting that cannot be used has left it half made
            configurables.remove(magics)
            continue
        with one_line():
            magics.workspace.close()
        atexit.unregister(magics.leave)
        configurables.remove(magics)
        matchers = [] if shell.Completer is None else shell.Completer.custom_matchers
        if magics.completion.matcher in matchers:
            matchers.remove(magics.completion.matcher)
    manager = shell.magics_manager
    for kind, names in {"line": ("session", "agent"), "cell": ("agent",)}.items():
        for name in names:
            manager.magics[kind].pop(name, None)
    manager.registry.pop(SessionMagics.__name__, None)


def _explain() -> None:
    """Make the text of ``%session?`` and ``%%agent?`` from the tables that parse them."""
    table = commands.run_line(Workspace(), "help", face="magic", prefix="%session ")
    usage = []
    for prog, arguments in (("%%agent", CELL), ("%agent", LINE)):
        parser = Parser(prog=prog)
        parser.accept(arguments)
        usage.append(parser.format_help())
    texts = {
        SessionMagics.session: f"Work with sessions: save, load, fork, rewind, undo...\n\n{table}",
        SessionMagics.ask: "Ask an agent: the cell is the prompt, the answer one turn of the session.\n\n"
        "{{expression}} in the cell is replaced by its value. On a line, `%agent` shows or sets the\n"
        "agent, and `%agent --retry` sends the last prompt that was not answered again.\n\n"
        + "\n".join(usage),
    }
    for function, text in texts.items():
        function.__doc__ = text


_explain()
