"""What the rules of the sinks name, against what there is: a name that nothing bears lets nothing through.

Sources, organizations and places are closed sets: a name outside is an error. Products and actions may be new ones of
Atlassian's, so that an unknown one is worth a look only, unless it is nearly a known one.
"""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from forwarder.catalogue.names import known_actions, known_products
from forwarder.config.problems import Problem
from forwarder.preflight.overlap import covers
from forwarder.preflight.routes import RESERVED
from forwarder.registry import nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from forwarder.config.settings import Settings
    from forwarder.contracts.settings import FilterRule, SinkConfig

_NEARLY = 0.8
_KINDS = ("include", "exclude")
_NO_SUCH = {
    "source": "no source has this name",
    "organization": "no organization that is followed",
    "place": "no place has this name",
}
_SOURCE = frozenset({"source"})


class FilterCheck:
    """Looks at every rule of every sink.

    Args:
        settings: What is configured.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        named = [source.of_organization for source in settings.readers.values()]
        organizations = {organization.lower() for organization in named if organization}
        foreign = None in named
        self._closed: dict[str, Collection[str]] = {
            "source": {*settings.sources, *settings.readers},
            "place": {*settings.places, *RESERVED},
        }
        self._open: dict[str, Callable[[], Collection[str]]] = {"product": known_products, "action": known_actions}
        if foreign:  # whose organizations only its events tell
            self._open["organization"] = lambda: organizations
        else:
            self._closed["organization"] = organizations

    def problems(self) -> Iterator[Problem]:
        """Yield what lets nothing through."""
        for name, sink in self._settings.sinks.items():
            yield from _empty_lists(name, sink)
            yield from self._duplicates(name, sink)
            for path, field, glob in _globs(name, sink):
                if fix := _no_glob(field, glob):
                    yield Problem(path, "not a glob, so it matches nothing", fix)
                    continue
                known = self._closed.get(field)
                if known is not None and not _is_glob(glob) and glob.lower() not in known:
                    guess = nearest(glob, known)
                    fix = f"did you mean {guess}?" if guess else f"known: {', '.join(sorted(known))}"
                    if field == "place" and not guess:
                        fix += "; define it under places"
                    what = _NO_SUCH[field]
                    yield Problem(path, what, fix)
                elif field in self._open and not _is_glob(glob) and glob.lower() not in self._open[field]():
                    guess = nearest(glob, self._open[field](), cutoff=_NEARLY)
                    if field == "product" and guess:
                        yield Problem(path, "no product that is known", f"did you mean {guess}?")
            for path, product in _choices(name, sink):
                guess = nearest(product, known_products(), cutoff=_NEARLY)
                if guess and product not in known_products():
                    yield Problem(path, "no product that is known", f"did you mean {guess}?")

    def _duplicates(self, name: str, sink: SinkConfig) -> Iterator[Problem]:
        dropped, known = sink.duplicates.drop_from, self._closed["source"]
        if dropped is not None and dropped not in known:
            guess = nearest(dropped, known)
            fix = f"did you mean {guess}?" if guess else f"known: {', '.join(sorted(known))}"
            yield Problem(f"sinks.{name}.duplicates.drop_from", "no source has this name", fix)

    def worth_a_look(self) -> Iterator[Problem]:
        """Yield what may be meant, and matches nothing that is known."""
        for name, sink in self._settings.sinks.items():
            if not any(may_pass(source, sink) for source in self._settings.readers):
                yield Problem(f"sinks.{name}", "its filters let nothing through", "correct include and exclude")
            for index, rule in enumerate(sink.include or []):
                if not rule.model_dump(exclude_none=True):
                    what = "a rule without a field matches every event, whatever the others say"
                    yield Problem(f"sinks.{name}.include.{index}", what, "name a field, or leave include out")
            for path, product in _choices(name, sink):
                if product not in known_products() and not nearest(product, known_products(), cutoff=_NEARLY):
                    yield Problem(
                        path, "no product that is known", f"correct it, unless it is a new one; {_products()}"
                    )
            yield from self._unknown(name, sink)

    def _unknown(self, name: str, sink: SinkConfig) -> Iterator[Problem]:
        for path, field, glob in _globs(name, sink):
            known = self._closed[field] if field in self._closed else self._open[field]()
            if any(fnmatchcase(each, glob.lower()) for each in known):
                continue
            if _no_glob(field, glob):
                continue
            if _is_glob(glob):
                fix = "correct it, unless it is for what will come"
                if ".*" in glob or ".+" in glob:
                    fix = "in a glob * alone stands for any text, and a dot for itself"
                yield Problem(path, f"matches no {field} that is known", fix)
            elif field in self._open:
                guess = nearest(glob, known, cutoff=_NEARLY)
                fix = f"did you mean {guess}?" if guess else "correct it, unless it is a new one"
                fix += f"; {_products()}" if field == "product" and not guess else ""
                yield Problem(path, f"no {field} that is known", fix)


def may_pass(source: str, sink: SinkConfig) -> bool:
    """Return False when the rules alone keep everything of this source out."""
    excluded = [rule for rule in sink.exclude or [] if _names(rule, source)]
    if sink.include is None:
        return not any(covers(rule, None, but=_SOURCE) for rule in excluded)
    included = [rule for rule in sink.include if _names(rule, source)]
    return any(not any(covers(rule, other, but=_SOURCE) for rule in excluded) for other in included)


def _names(rule: FilterRule, source: str) -> bool:
    globs = rule.source_globs()
    return globs is None or any(fnmatchcase(source, glob.lower()) for glob in globs)


def _globs(name: str, sink: SinkConfig) -> Iterator[tuple[str, str, str]]:
    """Yield (path, field, glob) for what can be compared."""
    for kind in _KINDS:
        for index, rule in enumerate(getattr(sink, kind) or []):
            for field in ("source", "organization", "place", "product", "action"):
                globs = getattr(rule, field)
                for glob in [globs] if isinstance(globs, str) else globs or []:
                    yield f"sinks.{name}.{kind}.{index}.{field}", field, glob


def _choices(name: str, sink: SinkConfig) -> Iterator[tuple[str, str]]:
    """Yield (path, product) for the settings that choose by product."""
    for key in ("index", "sourcetype", "source", "host"):
        choice = getattr(sink, key, None)
        for product in choice if isinstance(choice, dict) else ():
            if product != "*":
                yield f"sinks.{name}.{key}.{product}", product


def _empty_lists(name: str, sink: SinkConfig) -> Iterator[Problem]:
    for kind in _KINDS:
        for index, rule in enumerate(getattr(sink, kind) or []):
            for field, globs in rule.model_dump(exclude_none=True).items():
                if globs == []:
                    fix = "name at least one, or leave the field out"
                    yield Problem(f"sinks.{name}.{kind}.{index}.{field}", "an empty list, which matches nothing", fix)


def _no_glob(field: str, glob: str) -> str:
    """Return how to write what is not a glob; nothing when it can match a name."""
    if re.search(r"[,|]", glob):
        return "write a list, such as [first, second]"
    if re.search(r"[\^$()\\]|^/.*/[a-z]*$", glob):
        return "it is a regular expression; in a glob * stands for any text and ? for one character"
    if glob != glob.strip():
        return "leave out the spaces around it"
    return "" if glob or field in {"product", "action"} else "write a name, or leave the field out"


def _products() -> str:
    return f"known: {', '.join(sorted(known_products()))}"


def _is_glob(text: str) -> bool:
    return any(char in text for char in "*?[")
