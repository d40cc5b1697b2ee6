"""A question before something is done: a text to give, or a yes."""

from __future__ import annotations

from collections.abc import Callable

import ipywidgets

from nbsessions.rendering import escape


class Question(ipywidgets.HBox):
    """A form that asks, and does what it asked about once; it is seen only while it asks.

    Parameters
    ----------
    attempt : callable
        Does what it is given, and shows what is wrong where that fails; the question then stays.
    closed : callable
        Is told when the question is gone.

    Examples
    --------
    >>> question = Question(lambda act: act(), lambda: None)
    >>> question.ask("Rename 'plan' to", "plan", print)
    >>> question.text.value = " essay "
    >>> question.agree()
    essay
    >>> question.is_open
    False
    """

    def __init__(self, attempt: Callable[[Callable[[], object]], None], closed: Callable[[], None]) -> None:
        self._act: Callable[[str], object] | None = None
        self._closed = closed
        self._label = ipywidgets.HTML()
        self.text = ipywidgets.Text(layout={"width": "auto", "flex": "0 1 24em"})
        self.yes, self.no = (ipywidgets.Button(layout={"width": "auto"}) for _ in range(2))
        self.no.description = "Cancel"
        self.yes.add_class("nbs-agree")
        self.yes.on_click(lambda button: attempt(self.agree))
        self.no.on_click(lambda button: attempt(self.forget))
        super().__init__(layout={"display": "none", "align_items": "center", "flex_flow": "row wrap"})
        self.add_class("nbs-question")

    @property
    def is_open(self) -> bool:
        """Whether it asks something just now."""
        return self._act is not None

    def ask(self, question: str, value: str | None, act: Callable[[str], object], yes: str = "OK") -> None:
        """Ask for a text, or for a yes where `value` is None; then do it."""
        self._act = act
        self._label.value = escape(question)
        self.text.value, self.text.tooltip = value or "", question
        self.yes.description, self.yes.button_style = yes, "primary" if value is not None else "danger"
        self.children = [self._label, *([self.text] if value is not None else []), self.yes, self.no]
        self.layout.display = ""

    def agree(self) -> None:
        """Do what was asked about; a second click on the same button does nothing."""
        if self._act is None:
            return
        self.yes.disabled = True
        try:
            self._act(self.text.value.strip())
        finally:
            self.yes.disabled = False
        self.forget()

    def forget(self) -> None:
        """Ask no longer."""
        self._act = None
        self.layout.display = "none"
        self.children = []
        self._closed()
