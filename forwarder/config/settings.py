"""The whole configuration as one frozen object, and `load`, the one way to make it.

From strong to weak: `--set` on the command line, environment, secrets directory, YAML file, defaults. A stronger layer
replaces single keys of a weaker one, however deep; `x` and `x_file` are the same key. Whatever is wrong is collected
and raised at once. Nothing reads the process's environment but through `load`, and nothing here is global.

Relative paths are relative to the working directory, wherever the configuration file lies: a plugin's settings may hold
paths that only the plugin knows to be paths, and one rule is easier to trust than two.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from forwarder.config.archives import IndexConfig, VerifyConfig
from forwarder.config.ports import AdminConfig, ReceiverConfig
from forwarder.config.problems import Problem, keys_of
from forwarder.config.shape import Plugin
from forwarder.contracts.declared import ARRIVE_JUDGED, BaseModel, ConfigDict, Field, PrivateAttr, ValidationError
from forwarder.contracts.descriptions import Described
from forwarder.contracts.settings import ComponentConfig, Duration, SinkConfig, SourceConfig, Within
from forwarder.registry import SINKS, SOURCES
from forwarder.spool.config import SpoolConfig

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from forwarder.config.origin import Origin
    from forwarder.config.problems import Path as Keys

if TYPE_CHECKING or not ARRIVE_JUDGED:
    from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict
else:
    BaseSettings, SettingsConfigDict = BaseModel, ConfigDict

Name = Annotated[str, Field(pattern=r"^[a-z](?:_?[a-z0-9])*$", max_length=63)]
"""Name of a component: it must be addressable as `FORWARDER__SINKS__<NAME>__…`, so no double underscore."""


class BudgetConfig(ComponentConfig):
    """How often an API may be asked, together, by the sources that name this budget.

    Live events come first, with three of four requests at most while more is to be read; history has half of what they
    leave, and what one reader does not use goes on to the others. `status` shows each share.
    """

    requests_per_minute: Annotated[float, Field(ge=0.01, le=10_000_000)] | None = None
    """A fixed pace; default: follow what the API says, and probe for the limit where it states none."""


class CatalogueConfig(ComponentConfig):
    """What actions mean, where you know better than the catalogue that comes with the program."""

    files: list[Path] = Field(default_factory=list)
    """YAML files with records of your own, the first that names an action counts; see docs/catalogue.md."""


class LogConfig(ComponentConfig):
    """The log on standard error."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """Lowest level that is written."""
    format: Literal["auto", "json", "console"] = "auto"
    """`json`, one object a line; `console`, for people; `auto`: console on a terminal."""


class HeartbeatConfig(ComponentConfig):
    """Events of our own, so that a receiver can raise an alarm when nothing comes."""

    every: Annotated[Duration, Within("1s", "1d")] | None = None
    """How often to send one for each source to each sink, with what was counted since the last; by default none is
    sent."""


class ShutdownConfig(ComponentConfig):
    """How the daemon ends."""

    grace: Annotated[Duration, Within("10ms", "1h", zero=True)] = 25.0
    """Longest time after SIGTERM to finish what is in flight; what is not finished is sent again at the next start. 0
    finishes nothing."""


class ReloadConfig(ComponentConfig):
    """When the configuration is read again, beside SIGHUP and `audit-forwarder reload`."""

    watch: bool = False
    """Read it again whenever its file changes."""


class ReportsConfig(ComponentConfig):
    """Daily reports of what arrived: JSON and text, each with the digest of the one before."""

    daily: bool = True
    """Write one for each day, once the day was read again for the first time, and a new version when it changes."""
    folder: Path | None = None
    """Folder for them; default: `reports` beside the spool."""


class Settings(Described, BaseSettings):
    """The whole configuration of the forwarder."""

    model_config = SettingsConfigDict(extra="forbid", case_sensitive=True, frozen=True, title="audit-forwarder")

    spool: SpoolConfig = SpoolConfig()
    """Where events are kept until every sink has them."""
    sources: Annotated[dict[Name, Annotated[SourceConfig, Plugin(SOURCES)]], Field(min_length=1)]
    """Audit logs to follow, by a name of your choice: small letters, digits and single underscores."""
    sinks: Annotated[dict[Name, Annotated[SinkConfig, Plugin(SINKS)]], Field(min_length=1)]
    """Destinations, by a name of your choice."""
    budgets: dict[Name, BudgetConfig] = Field({})
    """Request budgets to share between sources of one key owner; a source names one as `budget`."""
    places: dict[Name, Annotated[list[str], Field(min_length=1)]] = Field({})
    """Places and the sites that lie in them, such as `{eu: [acme.atlassian.net, acme-labs]}`: ids, names or hosts of
    sites, or globs of them; filters name a place as `place`. Give the id and the host: an event may have only one."""
    catalogue: CatalogueConfig = CatalogueConfig()
    """What actions mean."""
    admin: AdminConfig = AdminConfig()
    """The port for metrics, probes, status and the page."""
    receiver: ReceiverConfig = ReceiverConfig()
    """The port at which sources with a `webhook` receive events."""
    log: LogConfig = LogConfig()
    """The log."""
    heartbeat: HeartbeatConfig = HeartbeatConfig()
    """Events of our own, so that a receiver can raise an alarm when nothing comes."""
    reports: ReportsConfig = ReportsConfig()
    """Daily reports that an auditor can keep and recompute."""
    index: IndexConfig = IndexConfig()
    """The index of each archive, for quick answers."""
    verify: VerifyConfig = VerifyConfig()
    """The check of each archive."""
    reload: ReloadConfig = ReloadConfig()
    """When the configuration is read again."""
    shutdown: ShutdownConfig = ShutdownConfig()
    """How the daemon ends."""

    _file: Path | None = PrivateAttr(None)
    _stamp: tuple[int, ...] | None = PrivateAttr(None)
    _origin: Origin | None = PrivateAttr(None)
    _where: Callable[[Keys], str] | None = PrivateAttr(None)
    _words: tuple[str, ...] = PrivateAttr(())
    _made: frozenset[tuple[str, ...]] = PrivateAttr(frozenset())

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take values from the constructor only; `load` merges the layers and passes the result."""
        del settings_cls, env_settings, dotenv_settings, file_secret_settings
        return (init_settings,)

    @property
    def reports_folder(self) -> Path:
        """Return the folder of the daily reports."""
        return (self.reports.folder or self.spool.path.parent / "reports").expanduser()

    @property
    def readers(self) -> dict[str, SourceConfig]:
        """Return the settings of each log that is read, by its name everywhere: `jira`, or `jira/acme` of its site."""
        return {
            f"{name}/{part}" if part else name: config
            for name, entry in self.sources.items()
            for part, config in entry.readers().items()
        }

    @property
    def file(self) -> Path | None:
        """The YAML file this came from, if one did."""
        return self._file

    @property
    def words(self) -> tuple[str, ...]:
        """Return the options with which another command of this environment reads the same, but for the admin port."""
        return self._words

    @property
    def origin(self) -> Origin | None:
        """Return where this was read, as `load` takes it; None for settings that were made otherwise."""
        return self._origin

    @property
    def stamp(self) -> tuple[int, ...] | None:
        """Return the stamp of the file from before it was read (`origin.file_stamp`); None where not all is of it."""
        return self._stamp

    def keeping(self, kept: Mapping[str, Any]) -> Self:
        """Return a copy in which some sections are not what was read."""
        copied = self.model_copy(update=kept)
        copied._stamp = None  # noqa: SLF001
        return copied

    def located(self, problems: Iterable[Problem]) -> list[Problem]:
        """Return the problems, each with the place of its setting where it names none yet."""
        where = self._where or (lambda _: "")
        return [replace(each, where=each.where or where(keys_of(each.path))) for each in problems]

    def where(self, path: tuple[str | int, ...]) -> str:
        """Return where the value of a setting comes from; empty when that is not known."""
        return self._where(path) if self._where is not None else ""

    @property
    def made(self) -> frozenset[tuple[str, ...]]:
        """Return the paths of the settings that somebody made; all others are as by default."""
        return self._made

    def digest(self) -> str:
        """Return 12 hex characters that change when the effective configuration does; secrets take no part."""
        canonical = json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()[:12]


def load(
    config_path: Path | None = None,
    env: Mapping[str, str] | None = None,
    secrets_dir: Path | None = None,
    overrides: Sequence[str] = (),
) -> Settings:
    """Read every layer and return the settings.

    Args:
        config_path: YAML file; None looks in FORWARDER_CONFIG and the usual places, and may find none.
        env: The environment; None means an empty one.
        secrets_dir: Directory with one setting per file; None means FORWARDER_SECRETS_DIR, if set.
        overrides: `path.to.setting=value`, strongest of all.

    Raises SettingsError with everything that is wrong. Reads the file and the directory, and no file that a setting
    names: see `references.unreadable_files`.
    """
    # What reads and explains is nothing that a daemon needs, which has its settings from another process.
    from forwarder.config.explain import Explainer  # noqa: PLC0415
    from forwarder.config.layers import leaves  # noqa: PLC0415
    from forwarder.config.origin import Origin  # noqa: PLC0415
    from forwarder.config.problems import SettingsError, blotted, dotted, secrets_in  # noqa: PLC0415
    from forwarder.config.readings import CONFIG_PLACES, read_all  # noqa: PLC0415
    from forwarder.config.references import cross_references  # noqa: PLC0415
    from forwarder.config.shape import fit  # noqa: PLC0415

    env = dict(env or {})
    found = read_all(config_path, env, secrets_dir, overrides)
    layers, problems = found.layers, [*found.problems]
    if found.nothing:
        places = " and ".join(str(place) for place in CONFIG_PLACES)
        raise SettingsError([Problem("--config", f"no configuration; looked for {places}", "name one with --config")])

    tree: dict[str, Any] = fit(Settings, found.tree)
    try:
        settings = Settings(**tree)
    except ValidationError as error:
        # A file that could not be read explains what is missing; the rest would be noise.
        unread = problems and not (layers[-1].tree if found.file else True)
        problems += [] if unread else Explainer(Settings, tree, layers).problems(error)
    else:
        where = Explainer(Settings, tree, layers).where
        problems += [Problem(dotted(path), what, fix, where(path)) for path, what, fix in cross_references(settings)]
    if problems:
        raise SettingsError(blotted(problems, set().union(*(secrets_in(layer.tree) for layer in layers))))
    settings._file = found.file  # noqa: SLF001 -- set once, here
    settings._made = frozenset(leaves(tree))  # noqa: SLF001
    settings._origin = Origin(config_path, env, secrets_dir, tuple(overrides))  # noqa: SLF001
    settings._stamp = found.stamp  # noqa: SLF001
    settings._where = where  # noqa: SLF001
    settings._words = _words(found.file, found.secrets_dir, overrides)  # noqa: SLF001
    return settings


def _words(file: Path | None, secrets_dir: Path | None, overrides: Sequence[str]) -> tuple[str, ...]:
    return (
        *([f"--config={file.absolute()}"] if file else []),
        *([f"--secrets-dir={secrets_dir.absolute()}"] if secrets_dir else []),
        *(f"--set={text}" for text in overrides if not text.strip().lower().startswith("admin")),
    )
