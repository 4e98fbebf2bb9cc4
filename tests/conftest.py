"""Options of the test run, and what its report lists."""

import gc
from collections import Counter, defaultdict
from zlib import crc32

import pytest
import typer.testing
from hypothesis import HealthCheck, settings

from tests.sockets import held_port

pytest_plugins = ["forwarder.testing"]


def pytest_forwarder_far_ends():
    from tests.contract.far_ends import FAR_ENDS

    return FAR_ENDS


def pytest_forwarder_feeds():
    from tests.contract.feeds import FEEDS

    return FEEDS


def pytest_forwarder_senders():
    from tests.contract.feeds import SENDERS

    return SENDERS


# How long a case takes, or making one, says nothing about a shared machine; a failure there must be repeatable here.
settings.register_profile("project", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
# What a version of Python breaks shows in a few examples; the many have their run with `make test`.
settings.register_profile("versions", settings.get_profile("project"), max_examples=15)
settings.load_profile("project")


@pytest.hookimpl(wrapper=True)
def pytest_collection():
    """Look for no garbage while tests are found, nor later among them: they stay until the end. A second in each process."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.fixture(scope="session", autouse=True)
def commands_are_made_once():
    """Let all calls of `CliRunner` have the commands that the first one made, which takes 50 ms: 25 times what a help takes."""
    make, made = typer.testing._get_command, {}

    def once(app):
        known = (app, len(app.registered_commands), len(app.registered_groups))
        if known not in made:
            made[known] = make(app)
        return made[known]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(typer.testing, "_get_command", once)
        yield


@pytest.fixture
def dead_port():
    """Give a port that refuses connections, until the test lets a server listen there."""
    with held_port() as port:
        yield port


def pytest_addoption(parser):
    parser.addoption(
        "--update-golden",
        action="store_true",
        help="write the golden files again and show what changed; read the diff before you commit it",
    )
    parser.addoption(
        "--rows",
        type=int,
        metavar="N",
        help="of a test that has more rows run N, evenly spread",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config, items):
    """Leave out rows beyond `--rows`, before the order becomes one of chance: each process must choose the same."""
    most = config.getoption("rows")
    if most is None:
        return
    tests = defaultdict(list)
    for item in items:
        tests[item.nodeid.partition("[")[0]].append(item)
    kept = set()
    for name, rows in tests.items():
        first = crc32(name.encode())  # each clause with other sinks than the next one
        kept.update(id(rows[(first + len(rows) * n // most) % len(rows)]) for n in range(most))
    config.hook.pytest_deselected(items=[item for item in items if id(item) not in kept])
    items[:] = [item for item in items if id(item) in kept]


@pytest.hookimpl(specname="pytest_collection_modifyitems", trylast=True)
def pytest_early_tests_first(items):
    """Let those begin first that one process would else still be busy with when all others have ended."""
    items.sort(key=lambda item: item.get_closest_marker("early") is None)


def pytest_terminal_summary(terminalreporter):
    """List the cross-product of what is unknown of the real API: every reading, with its outcome."""
    outcomes = {
        report.nodeid.partition("[")[2].rstrip("]"): outcome
        for outcome in ("passed", "failed", "error")
        for report in terminalreporter.stats.get(outcome, ())
        if "test_every_reading_of_the_unknown[" in getattr(report, "nodeid", "")
    }
    if not outcomes:
        return
    counts = ", ".join(f"{count} {outcome}" for outcome, count in Counter(outcomes.values()).items())
    terminalreporter.section(f"readings of the unknown: {counts}")
    for reading, outcome in sorted(outcomes.items()):
        terminalreporter.line(f"{outcome:<7} {reading}")
