"""
What keys look like: the one table of the shapes that are known, each with where it is told.

A shape is found by its anchor, a text that every key of it has, so that text without any is passed over
quickly. Where only a part of what is found is secret, that part is the group ``secret``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Final

# Not in the midst of a word; the letter before it may be the end of an escape, as in a JSON string or a URL.
_B: Final = r"(?:(?<![A-Za-z0-9])|(?<=\\[nrtbf])|(?<=\\u[0-9a-fA-F]{4})|(?<=%[0-9A-Fa-f]{2}))"
_E: Final = r"(?![A-Za-z0-9_-])"
_PEM: Final = r"[A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
_GITLAB: Final = (
    *("glpat", "gldt", "glrt", "glcbt", "glptt", "glft", "glimt"),
    *("glagent", "glsoat", "glffct", "gloas"),
)
_GITLEAKS: Final = "https://github.com/gitleaks/gitleaks/tree/master/cmd/generate/config/rules"
_GITHUB: Final = (
    "https://docs.github.com/code-security/secret-scanning/introduction/supported-secret-scanning-patterns"
)


@dataclass(frozen=True)
class Shape:
    """The shape of one kind of key.

    Attributes
    ----------
    kind : str
        What the marker calls it.
    anchors : tuple of str
        One of them is in every key of this kind, where the pattern begins to match.
    regex : str
    source : str
        Where the shape is told.
    """

    kind: str
    anchors: tuple[str, ...]
    regex: str
    source: str

    @property
    def is_bounded(self) -> bool:
        """Whether it begins where a word begins."""
        return self.regex.startswith(_B)

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """The pattern, compiled when it is first needed."""
        return re.compile(self.regex)


BOUNDARY: Final = re.compile(_B)


def _key(kind: str, anchor: str, rest: str, source: str = _GITLEAKS) -> Shape:
    return Shape(kind, (anchor,), _B + re.escape(anchor) + rest, source)


SHAPES: Final[tuple[Shape, ...]] = (
    _key("anthropic key", "sk-ant-", r"[A-Za-z0-9_-]{20,}", "https://docs.anthropic.com/en/api/overview"),
    _key(
        "openrouter key",
        "sk-or-",
        r"v1-[0-9a-f]{32,}",
        "https://openrouter.ai/docs/api-reference/authentication",
    ),
    _key("langsmith key", "lsv2_", r"(?:pt|sk)_[0-9a-f]{32}_[0-9a-f]{10}"),
    *(
        _key(
            "openai key",
            anchor,
            r"[A-Za-z0-9_-]{20,}",
            "https://platform.openai.com/docs/api-reference/authentication",
        )
        for anchor in ("sk-proj-", "sk-svcacct-", "sk-admin-", "sk-None-")
    ),
    # Older keys of OpenAI, and those of the many that took its shape; a word has no digit so early.
    _key("openai key", "sk-", r"(?=[A-Za-z-]{0,31}[0-9])[A-Za-z0-9]{20,}"),
    _key(
        "google key",
        "AIza",
        r"[A-Za-z0-9_-]{35}" + _E,
        "https://cloud.google.com/docs/authentication/api-keys",
    ),
    _key("google token", "ya29.", r"[A-Za-z0-9_-]{20,}"),
    _key("google secret", "GOCSPX-", r"[A-Za-z0-9_-]{28}" + _E),
    *(
        _key(
            "aws key id",
            anchor,
            r"[A-Z2-7]{16}" + _E,
            "https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html",
        )
        for anchor in ("AKIA", "ASIA", "ABIA", "ACCA")
    ),
    # It has no shape of its own: its name has to stand before it.
    *(
        Shape(
            "aws secret key",
            (anchor,),
            ("" if anchor[0].isupper() else _B)
            + re.escape(anchor)
            + r"""[\s\\"':=>]{1,12}(?P<secret>[A-Za-z0-9/+]{40,}={0,2})""",
            "https://docs.aws.amazon.com/cli/latest/userguide/cli-configure-files.html",
        )
        for anchor in (
            *("AccessKey", "access_key", "ACCESS_KEY", "access-key", "access key"),
            *("SessionToken", "session_token", "SESSION_TOKEN"),
        )
    ),
    *(_key("github token", f"gh{letter}_", r"[A-Za-z0-9]{36,255}", _GITHUB) for letter in "pousr"),
    _key("github token", "github_pat_", r"[A-Za-z0-9_]{36,}", _GITHUB),
    *(
        _key(
            "gitlab token",
            f"{name}-",
            r"[A-Za-z0-9_.-]{20,}",
            "https://docs.gitlab.com/security/tokens/#token-prefixes",
        )
        for name in (
            "glpat",
            "gldt",
            "glrt",
            "glcbt",
            "glptt",
            "glft",
            "glimt",
            "glagent",
            "glsoat",
            "glffct",
            "gloas",
        )
    ),
    *(
        _key(
            "slack token",
            f"xox{letter}-",
            r"[A-Za-z0-9.-]{10,}",
            "https://api.slack.com/authentication/token-types",
        )
        for letter in "abeoprs"
    ),
    _key(
        "slack token", "xapp-", r"[0-9]-[A-Za-z0-9-]{20,}", "https://api.slack.com/authentication/token-types"
    ),
    Shape(
        "slack webhook",
        ("hooks.slack.com",),
        _B + r"hooks\.slack\.com(?:\\*/)(?:services|workflows|triggers)(?P<secret>(?:\\*/[A-Za-z0-9]+){2,4})",
        _GITLEAKS,
    ),
    *(
        _key("stripe key", f"{kind}_{mode}_", r"[A-Za-z0-9]{16,}", "https://docs.stripe.com/keys")
        for kind in ("sk", "rk")
        for mode in ("live", "test", "prod")
    ),
    _key("stripe secret", "whsec_", r"[A-Za-z0-9+/=]{24,}", "https://docs.stripe.com/webhooks"),
    _key(
        "hugging face token",
        "hf_",
        r"[A-Za-z0-9]{30,40}" + _E,
        "https://huggingface.co/docs/hub/security-tokens",
    ),
    _key("hugging face token", "api_org_", r"[A-Za-z0-9]{30,40}" + _E),
    _key("npm token", "npm_", r"[A-Za-z0-9]{36}" + _E, _GITHUB),
    _key("pypi token", "pypi-", r"AgE[A-Za-z0-9_-]{50,}", "https://pypi.org/help/#apitoken"),
    _key("docker token", "dckr_", r"[po]at_[A-Za-z0-9_-]{20,}", _GITHUB),
    _key("groq key", "gsk_", r"[A-Za-z0-9]{40,}", "https://console.groq.com/docs/quickstart"),
    _key("xai key", "xai-", r"[A-Za-z0-9]{60,}", "https://docs.x.ai/docs/overview"),
    _key("perplexity key", "pplx-", r"[A-Za-z0-9]{32,}"),
    _key(
        "replicate token",
        "r8_",
        r"[A-Za-z0-9]{37}" + _E,
        "https://replicate.com/docs/topics/security/api-tokens",
    ),
    _key("nvidia key", "nvapi-", r"[A-Za-z0-9_-]{50,}", _GITHUB),
    _key("databricks token", "dapi", r"[0-9a-f]{32}(?:-[0-9])?" + _E),
    _key("tavily key", "tvly-", r"[A-Za-z0-9-]{20,}"),
    _key("sendgrid key", "SG.", r"[A-Za-z0-9_-]{20,24}\.[A-Za-z0-9_-]{39,50}" + _E),
    *(_key("digitalocean token", f"do{letter}_v1_", r"[0-9a-f]{64}" + _E) for letter in "opr"),
    Shape(
        "telegram token",
        (":AA",),
        r":AA[A-Za-z0-9_-]{33}" + _E,
        "https://core.telegram.org/bots/api",
    ),
    Shape(
        "azure storage key",
        ("AccountKey=", "SharedAccessKey="),
        r"(?:Account|SharedAccess)Key=(?P<secret>[A-Za-z0-9+/]{40,88}={0,2})",
        "https://learn.microsoft.com/azure/storage/common/storage-configure-connection-string",
    ),
    Shape(
        "azure signature",
        ("sig=",),
        _B + r"sig=(?P<secret>[A-Za-z0-9%+/]{40,}={0,2})",
        "https://learn.microsoft.com/rest/api/storageservices/create-service-sas",
    ),
    Shape("azure secret", ("Q~",), r"Q~[A-Za-z0-9_.~-]{31,34}", _GITLEAKS),
    Shape(
        "jwt",
        ("eyJ",),
        _B + r"eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)?",
        "https://www.rfc-editor.org/rfc/rfc7519",
    ),
    Shape(
        "private key",
        ("-----BEGIN",),
        # One that was cut off is one, too.
        rf"-----BEGIN {_PEM}(?:(?:[^-\\\"]|\\[^\"]|-(?!----END)){{0,20000}}?-----END {_PEM}"
        r"|(?:\s|\\+[nrt]|[A-Za-z0-9+/=]{16,})*)",
        "https://www.rfc-editor.org/rfc/rfc7468",
    ),
    Shape(
        "bearer token",
        ("Bearer ", "bearer ", "BEARER "),
        _B + r"(?:Bearer|bearer|BEARER) +(?=[A-Za-z._~+/-]*[0-9])(?P<secret>[A-Za-z0-9._~+/-]{16,}=*)",
        "https://www.rfc-editor.org/rfc/rfc6750",
    ),
    Shape(
        "password",
        ("Authorization", "authorization"),
        _B + r"""[Aa]uthorization[\s\\"':=>]{1,12}[Bb]asic +(?P<secret>[A-Za-z0-9+/]{8,}={0,2})""",
        "https://www.rfc-editor.org/rfc/rfc7617",
    ),
    # What is a placeholder already stays.
    Shape(
        "password",
        ("://", r":\/\/"),
        r""":(?:\\*/){2}[^\s/:@"'\\<>]{0,100}:(?P<secret>(?![*<{$\[])[^\s/@"'\\<>]{1,200})@(?=[A-Za-z0-9\[])""",
        "https://www.rfc-editor.org/rfc/rfc3986#section-3.2.1",
    ),
    _key("age key", "AGE-SECRET-KEY-1", r"[A-Z0-9]{58}" + _E),
)
