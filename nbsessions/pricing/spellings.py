"""How models and their providers are called: by frameworks, in logs, and by genai-prices.

Looked at: pydantic-ai 2.68 (``google-gla:gemini-2.5-flash``, ``bedrock``), LiteLLM and llm's plug-ins
(``vertex_ai/gemini-2.5-flash``), OpenRouter (``anthropic/claude-sonnet-4.5``), LangChain, OpenTelemetry's
``gen_ai.provider.name`` (``gcp.vertex_ai``, ``x_ai``), Amazon Bedrock's ids and ARNs.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import Final, NamedTuple


class Ref(NamedTuple):
    """A model, and who serves it.

    Attributes
    ----------
    provider : str or None
        As genai-prices calls it. None: the name of the model says it.
    model : str

    Examples
    --------
    >>> Ref("openai", "gpt-4o").model
    'gpt-4o'
    """

    provider: str | None
    model: str


# By who serves it, other names than genai-prices' own, in lower case and with hyphens alone.
_OTHERS: Final = {
    "anthropic": "claude",
    "aws": "bedrock aws-bedrock amazon-bedrock bedrock-converse bedrock-mantle amazon",
    "azure": "azure-openai azure-ai azure-ai-openai azure-ai-inference az-ai-openai az-ai-inference",
    "cohere": "cohere-chat",
    "fireworks": "fireworks-ai",
    "github-copilot": "copilot",
    "google": "gemini google-gla google-vertex google-cloud google-genai google-generativeai "
    "google-ai-studio google-vertexai vertex vertexai vertex-ai gcp-gemini gcp-gen-ai gcp-vertex-ai",
    "meta": "meta-llama-api",
    "mistral": "mistral-ai",
    "moonshotai": "moonshot",
    "openai": "openai-chat openai-responses openai-codex openai-chatgpt",
    "perplexity": "perplexity-ai",
    "together": "together-ai togetherai",
    "voyageai": "voyage",
    "x-ai": "xai grok",
    "zai": "z-ai",
}
_NAMES: Final = {other: name for name, others in _OTHERS.items() for other in others.split()}
_GO_BETWEENS: Final = frozenset({"litellm", "gateway", "pydantic-ai-gateway"})
"""They send on to the provider that the name of the model begins with."""
_BEDROCK: Final = re.compile(
    r"(?:(?:[a-z]{2,4}|us-gov|global)\.)?(?:anthropic|amazon|meta|mistral|cohere|ai21)\."
)
_OWN: Final = ("@cf/", "accounts/fireworks/")
_ANYBODYS: Final = ("gpt-oss", "deepseek-r1")
"""Open models that run anywhere: their name alone does not tell a price."""


def spellings(model: str | None, provider: str | None, known: Collection[str]) -> Iterator[Ref]:
    """Yield a model as genai-prices may know it, the likeliest first.

    Nothing is guessed: who is known by no name of `known`, such as ``ollama``, serves at no known price,
    even where the model has a well-known name.

    Parameters
    ----------
    model, provider : str or None
        As a framework or a log calls them.
    known : collection of str
        The providers that genai-prices has.

    Examples
    --------
    >>> list(spellings("models/gemini-2.5-flash", "google-gla", {"google"}))
    [Ref(provider='google', model='gemini-2.5-flash')]
    >>> list(spellings("openai:gpt-4o", None, {"openai"}))
    [Ref(provider='openai', model='gpt-4o')]
    >>> list(spellings("gpt-4o", "ollama", {"openai"}))
    []
    """
    name = (model or "").strip().lower().removeprefix("gateway/")
    if not name:
        return
    who = _plain(provider)
    served_by = _served_by(who, known)
    if served_by is not None:
        yield from _of(served_by, _without(served_by, name, known))
    elif who is None or who in _GO_BETWEENS:
        yield from _told_by(name, known)


def written(model: str | None, provider: str | None) -> list[Ref]:
    """Return a model as it is written, with its provider and without, then without what its name begins with.

    Examples
    --------
    >>> [ref.model for ref in written("vllm/my-model", None)]
    ['vllm/my-model', 'my-model', 'my-model']
    """
    name = (model or "").strip().lower()
    own = provider.strip().lower() if provider else None
    first, rest = _split(name)
    refs = [Ref(own, name), Ref(None, name), *([Ref(own or first, rest), Ref(None, rest)] if first else [])]
    return list(dict.fromkeys(refs))


def _plain(provider: str | None) -> str | None:
    return re.sub(r"[\s._]+", "-", provider.strip().lower()) or None if provider else None


def _served_by(who: str | None, known: Collection[str]) -> str | None:
    name = _NAMES.get(who or "", who)
    return next((one for one in known if name in (one, _plain(one))), None)


def _without(provider: str, name: str, known: Collection[str]) -> str:
    """Return a name without its provider, where that is said twice."""
    first, rest = _split(name)
    return (
        rest if first and provider != "openrouter" and _served_by(_plain(first), known) == provider else name
    )


def _split(name: str) -> tuple[str, str]:
    found = re.match(r"([^/:]+)[/:](.+)", name)
    return (found[1], found[2]) if found else ("", name)


def _of(provider: str, name: str) -> Iterator[Ref]:
    if provider == "google":
        name = name.rpartition("models/")[2]
    if provider == "aws":
        name = name.rpartition("/")[2]
    if provider == "openai" and name.startswith("gpt-oss"):
        return  # OpenAI serves none of these: another server speaks like it
    yield Ref(provider, name)


def _told_by(name: str, known: Collection[str]) -> Iterator[Ref]:
    """Yield what a name alone tells."""
    if _BEDROCK.match(name) or name.startswith("arn:aws"):
        yield from _of("aws", name)
        return
    if name.startswith(_OWN):
        yield Ref(None, name)
        return
    first, rest = _split(name.removeprefix("models/"))
    if not first:
        if not rest.startswith(_ANYBODYS):
            yield Ref(None, rest)
        return
    provider = _served_by(_plain(first), known)
    # What follows a colon is a tag, of Ollama or OpenRouter; others' prices are not of it.
    if provider is not None and (":" not in rest or provider in ("aws", "openrouter")):
        yield from _of(provider, rest)
    is_slug = name.startswith(f"{first}/") and not rest.startswith(_ANYBODYS)
    if provider is not None and "openrouter" in known and is_slug:
        yield Ref("openrouter", name)
