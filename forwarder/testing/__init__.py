"""The clauses that sinks, sources and formats keep, as a plugin of pytest: ours and strangers' run through the same.

One line of a package's `conftest.py` runs them all on what the package registers, where that file lies::

    pytest_plugins = ["forwarder.testing"]

With a sink it also gives the far ends that the clauses are tried on (`pytest_forwarder_far_ends`), with a source the
feeds (`pytest_forwarder_feeds`), with one that receives the senders (`pytest_forwarder_senders`); a format needs
nothing. Nothing of the product imports this room, and pytest is needed here only
(`pip install audit-forwarder[testing]`).

A `conftest.py` may import from here before pytest does. There is no assertion in this module: PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from forwarder.testing import hooks
from forwarder.testing.suite import MARKERS, NotToBeFound, Suite, package_of

FOLDER = Path(__file__).parent


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    """Let a `conftest.py` say what its components are tried with."""
    pluginmanager.add_hookspecs(hooks)


def pytest_configure(config: pytest.Config) -> None:
    """Make the marks of the clauses known."""
    for line in MARKERS:
        config.addinivalue_line("markers", line)


class Clauses(pytest.File):
    """Stands in the place of the `conftest.py` that names the plugin, and holds the clauses."""

    suite: Suite

    def collect(self) -> Iterator[pytest.Module]:
        """Find what the package registers, and give the clauses for it."""
        try:
            package = package_of(self.path.parent)
        except NotToBeFound as error:
            raise self.CollectError(str(error)) from None
        far_ends = [each for some in self.ihook.pytest_forwarder_far_ends() for each in some]
        feeds = [each for some in self.ihook.pytest_forwarder_feeds() for each in some]
        senders = [each for some in self.ihook.pytest_forwarder_senders() for each in some]
        self.suite = Suite(package, far_ends, feeds, senders)
        modules = self.suite.modules()
        if not modules:
            raise self.CollectError(
                f"the installed package {package} registers no sink, source or format; write "
                '[project.entry-points."audit_forwarder.sinks"] (or sources, formats) into its pyproject.toml and '
                "install it again"
            )
        for name in modules:
            yield pytest.Module.from_parent(self, path=FOLDER / f"{name}.py")


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> Clauses | None:
    """Collect the clauses with the `conftest.py` that names this plugin."""
    if file_path.name != "conftest.py":
        return None
    conftest = parent.config.pluginmanager.get_plugin(str(file_path))
    named = getattr(conftest, "pytest_plugins", ())
    if __name__ not in ([named] if isinstance(named, str) else named):
        return None
    collected: Clauses = Clauses.from_parent(parent, path=file_path)
    return collected


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give each clause what it is tried with."""
    clauses = metafunc.definition.getparent(Clauses)
    if clauses is not None:
        clauses.suite.parametrize(metafunc)
