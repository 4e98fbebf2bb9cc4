"""Options of the test run."""

from hypothesis import settings

settings.register_profile("project", deadline=None)  # how long a case takes says nothing about a shared machine
settings.load_profile("project")


def pytest_addoption(parser):
    parser.addoption(
        "--update-golden",
        action="store_true",
        help="write the golden files again and show what changed; read the diff before you commit it",
    )
