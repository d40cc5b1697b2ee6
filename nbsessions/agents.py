"""The agents of a notebook: which is the current one, and whom a name means."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from nbsessions.exceptions import InvalidInput
from nbsessions.settings import Settings
from nbsessions.text import bare_url, is_url

if TYPE_CHECKING:
    from nbsessions.adapters.base import Adapter
    from nbsessions.records import Run


@dataclass
class Agents:
    """The agents that can be asked; base of `Workspace`.

    Attributes
    ----------
    settings : Settings
        They say which agent and which model are the current ones.
    names : mapping
        Where the name of an agent is looked up: a notebook's variables.
    remember : callable
        Told what a command has set, for whoever shows the settings.

    Examples
    --------
    >>> Agents(Settings(agent="echo"), names={"echo": lambda prompt: prompt}).adapter().name
    'echo'
    """

    settings: Settings = field(default_factory=Settings)
    names: Mapping[str, Any] = field(default_factory=dict)
    remember: Callable[[str, Any], None] = lambda name, value: None
    _urls: dict[str, str] = field(default_factory=dict)

    def adapter(self, name: str | None = None, model: str | None = None) -> Adapter:
        """Return the adapter of the agent called `name`, else of the current one, or of a model alone.

        Raises
        ------
        InvalidInput
            No variable has this name.
        AgentError
        """
        from nbsessions.adapters import adapt

        name, model = _meant(name, model)
        chosen = name or self.settings.agent
        if chosen is not None and chosen in self.names:
            adapter = adapt(self.names[chosen], name=chosen)
        elif chosen is None or chosen == "local" or ":" in chosen:
            adapter = adapt(self._url_of(chosen or model))
        else:
            raise InvalidInput(
                f"No variable is called {chosen!r}. Define the agent first, or give a model by --model."
            )
        if model is None or model == adapter.model or adapter.takes_model:
            adapter.check()
            return adapter
        if name is not None:
            label = self.shown(name)
            raise InvalidInput(f"{label} takes no model. Leave --model out, or leave {label} out.")
        # A model asked for where the agent takes none: the model alone is the agent.
        return adapt(self._url_of(model))

    def shown(self, chosen: str | None) -> str | None:
        """Return what is said to be chosen: of the URL of an endpoint, what is not secret.

        Examples
        --------
        >>> Agents().shown("https://ada:secret@example.com/")
        'https://example.com/'
        """
        return bare_url(chosen) if chosen is not None and is_url(chosen) else chosen

    def _url_of(self, chosen: str | None) -> str | None:
        """Return the URL that an endpoint was first named by, with what is secret in it."""
        bare = self.shown(chosen)
        if chosen is None or bare is None or bare == chosen:
            return None if chosen is None else self._urls.get(chosen, chosen)
        self._urls[bare] = chosen
        return chosen

    def asked(self, run: Run) -> tuple[Adapter, str | None]:
        """Return the adapter of the agent that a run asked, and the model where it was another than its own.

        Raises
        ------
        InvalidInput
            It is not here: nobody else shall answer in its place unasked.
        """
        adapter = self._called(run.agent_name)
        # Once a provider has answered, the model is as that one calls it, which nobody else understands.
        as_asked = run.provider is None and not run.usage.requests
        other = adapter.takes_model and as_asked and run.model != adapter.model
        return adapter, run.model if other else None

    def _called(self, agent_name: str) -> Adapter:
        """Return the adapter of the one agent of this name: the current one, a variable, or a model."""
        if self.adapter_name() == agent_name:
            return self.adapter(model=self.settings.model)
        agents = self._named(agent_name)
        if len({id(agent) for agent in agents.values()}) > 1:
            raise InvalidInput(
                f"Several agents are called {agent_name!r}: {', '.join(agents)}. Name the one to ask: "
                "`%agent AGENT --retry`."
            )
        for name in agents:
            return self.adapter(name)
        if agent_name == "local" or ":" in agent_name:
            return self.adapter(agent_name)
        raise InvalidInput(
            f"{agent_name!r}, which was asked, is not defined here. Define it, or name another agent: "
            "`%agent AGENT --retry`."
        )

    def _named(self, agent_name: str) -> dict[str, object]:
        from nbsessions.adapters import adapt, is_agent

        found: dict[str, object] = {}
        for name, value in list(self.names.items()):
            try:
                if is_agent(value) and adapt(value, name=name).name == agent_name:
                    found[name] = value
            except Exception:  # noqa: BLE001 - a variable that cannot even be looked at is no agent
                continue
        return {agent_name: found[agent_name]} if agent_name in found else found

    def use_agent(self, name: str | None, model: str | None) -> Adapter:
        """Make an agent, or a model alone, the current one; where it cannot be had, nothing changes."""
        from nbsessions.adapters import adapt

        name, model = _meant(name, model)
        adapter = adapt(self._url_of(model)) if name is None else self.adapter(name, model)
        adapter.check()
        # Settings are shown: what is secret in a URL stays out of them.
        name, model = self.shown(name), self.shown(model)
        self.settings.agent, self.settings.model = name, model
        self.remember("agent", name)
        self.remember("model", model)
        return adapter

    def adapter_name(self) -> str:
        """Return the name that sessions with the current agent carry, without reaching for a model."""
        from nbsessions.adapters import adapt, is_agent

        name = self.settings.agent or self.settings.model or "local"
        found = self.names.get(name)
        return adapt(found, name=name).name if is_agent(found) else self.shown(name) or name


def _meant(name: str | None, model: str | None) -> tuple[str | None, str | None]:
    """Return an agent and a model as they are meant: people call the local agent a model, too."""
    return ("local", None) if name is None and model == "local" else (name, model)
