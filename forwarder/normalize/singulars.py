"""Kinds of things as the API names them, in the plural, to the singular that events carry: `data-sources`, `addresses`.

Rules by ending, the longest first, and the nouns that follow none of them. Only the last word of a compound counts. A
word that no rule is sure of stays as it is: an odd plural misleads less than a word that does not exist.
"""

from __future__ import annotations

import re

LONGEST = 64
"""Characters of a kind that is looked at; a longer one is no noun."""

_EXCEPTIONS = {
    **{word: word for word in (
        "access", "alias", "analysis", "analytics", "atlas", "aws", "basis", "bias", "bonus", "bus", "campus", "canvas",
        "census", "chaos", "consensus", "corpus", "crisis", "data", "diagnosis", "dns", "emphasis",
        "focus", "gas", "gps", "https", "ios", "kubernetes", "lens", "media", "metadata", "news", "os", "plus", "saas",
        "series", "sms", "sos", "species", "status", "tls", "virus",
    )},
    **{f"{word}es": word for word in (
        "alias", "atlas", "bias", "bonus", "bus", "campus", "canvas", "census", "corpus", "echo", "focus", "gas",
        "hero", "lens", "potato", "status", "tomato", "veto", "virus",
    )},
    **{f"{word}s": word for word in (
        "api", "ache", "avalanche", "cache", "cookie", "die", "gnu", "headache", "kpi", "lie", "menu", "movie", "niche",
        "pie", "psyche", "rookie", "selfie", "tie", "wiki", "zombie",
    )},
    **{f"{stem}ves": f"{stem}f" for stem in ("cal", "el", "hal", "lea", "loa", "sel", "shel", "thie", "wol")},
    **{f"{stem}ves": f"{stem}fe" for stem in ("kni", "wi")},
    "analyses": "analysis", "axes": "axis", "bases": "base", "children": "child", "crises": "crisis",
    "criteria": "criterion", "diagnoses": "diagnosis", "hypotheses": "hypothesis", "indices": "index",
    "matrices": "matrix", "men": "man", "mice": "mouse", "parentheses": "parenthesis", "people": "person",
    "phenomena": "phenomenon", "quizzes": "quiz", "schemata": "schema", "syntheses": "synthesis", "theses": "thesis",
    "vertices": "vertex", "women": "woman",
}  # fmt: skip

_RULES = (
    *(("sses", "ss"), ("shes", "sh"), ("ches", "ch"), ("xes", "x"), ("zzes", "zz"), ("uies", "uy"), ("ies", "y")),
    *(("ss", "ss"), ("us", "us"), ("is", "is"), ("s", "")),
)
"""Endings with what stands in their place; the first that fits counts."""

_LAST_WORD = re.compile(r"[A-Z]?[a-z]+$|[A-Z]+s?$")


def singular(kind: str) -> str:
    """Return the singular of a noun or of the last one of a compound (`user-directories`, `dataSources`)."""
    found = _LAST_WORD.search(kind) if len(kind) <= LONGEST else None
    if found is None:
        return kind
    word = found[0]
    low = word.lower()
    if low in _EXCEPTIONS:
        one = _EXCEPTIONS[low]
        if low.startswith(one):
            return kind[: found.start() + len(one)]
        return kind[: found.start()] + (one.capitalize() if word[0].isupper() else one)
    for ending, instead in _RULES:
        if low.endswith(ending) and len(low) > len(ending) + (ending != "ss"):
            if ending == instead:
                return kind
            return kind[: len(kind) - len(ending)] + (instead.upper() if word[-2:].isupper() else instead)
    return kind
