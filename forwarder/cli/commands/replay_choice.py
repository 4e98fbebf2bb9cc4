"""Which events a replay is to send, as it was written."""

from __future__ import annotations

import shlex
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from forwarder.admin.replays import ReplayWanted
from forwarder.cli.commands.archive_import import ArchiveChoice
from forwarder.cli.times import SHAPES, parse_options
from forwarder.config.problems import Problem, SettingsError
from forwarder.contracts.settings import FilterRule
from forwarder.preflight.filter_rules import FilterCheck
from forwarder.registry import nearest

if TYPE_CHECKING:
    from forwarder.config.settings import Settings

_FIELDS = tuple(FilterRule.model_fields)
_FORM = "write field=glob pairs, such as 'action=user_login* product=jira'; with a space in it, actor=\"Jane Doe\""


@dataclass(frozen=True)
class Choice:
    """What the options said."""

    sink: str
    since: str | None
    until: str | None
    where: tuple[str, ...] = ()

    def of_archive(self) -> ArchiveChoice:
        """Return it as what is wanted of the archive that `since` names. Raises SettingsError."""
        problems = [] if self.sink else [Problem("--sink", "missing", "name the sink that gets what the archive keeps")]
        if self.where:
            fix = "leave it out: what the sink's own include and exclude let through is sent"
            problems.append(Problem("--where", "an archive is sent as a whole", fix))
        if problems:
            raise SettingsError(problems)
        return ArchiveChoice(self.since or "", sink=self.sink, until=self.until)

    def wanted(self, settings: Settings) -> ReplayWanted:
        """Return it as the daemon understands it. Raises SettingsError."""
        problems: list[Problem] = []
        if self.sink not in settings.sinks:
            guess = nearest(self.sink, settings.sinks)
            fix = f"did you mean {guess}?" if guess else f"known sinks: {', '.join(settings.sinks)}"
            problems.append(Problem("--sink", "no sink has this name" if self.sink else "missing", fix))
        if self.since is None:
            problems.append(Problem("--from", "missing", SHAPES))
        now = time.time()
        times = parse_options({"--from": self.since, "--to": self.until}, now, problems)
        since_ms, until_ms = times.get("--from"), times.get("--to")
        until_ms = int(now * 1000) if until_ms is None else until_ms
        if since_ms is not None and since_ms >= until_ms:
            problems.append(Problem("--from", "not before --to", "name an earlier moment"))
        rules = [rule for text in self.where if (rule := _rule(text, problems)) is not None]
        if not problems:
            problems += _unknown(settings, self.sink, rules)
        if problems:
            raise SettingsError(problems)
        return ReplayWanted(self.sink, since_ms or 0, until_ms, msgspec.json.encode(rules).decode())


def _rule(text: str, problems: list[Problem]) -> dict[str, list[str]] | None:
    """Return a rule as that of an `include`; what is wrong is added to the problems."""
    rule: dict[str, list[str]] = {}
    try:
        words = shlex.split(text)
    except ValueError:
        words = []
    for word in words:
        field, equals, glob = word.partition("=")
        if field not in _FIELDS:
            guess = nearest(field, _FIELDS)
            fix = f"did you mean {guess}?" if guess else f"fields: {', '.join(_FIELDS)}; {_FORM}"
            problems.append(Problem("--where", f"{field}: no such field", fix))
            return None
        if not equals or not glob:
            problems.append(Problem("--where", f"{field}: no glob", _FORM))
            return None
        rule.setdefault(field, []).append(glob)
    if not rule:
        problems.append(Problem("--where", "not a filter", _FORM))
        return None
    return rule


def _unknown(settings: Settings, sink: str, rules: list[dict[str, list[str]]]) -> list[Problem]:
    """Return what names nothing that there is, found as in the `include` of a sink."""
    include = [FilterRule.model_validate(rule) for rule in rules]
    alone = settings.sinks[sink].model_copy(update={"include": include or None, "exclude": None})
    check = FilterCheck(settings.model_copy(update={"sinks": {sink: alone}}))
    return [
        Problem(f"--where {problem.path.rpartition('.')[2]}", problem.what, problem.fix)
        for problem in check.problems()
        if ".include" in problem.path
    ]
