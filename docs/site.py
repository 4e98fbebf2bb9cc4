"""`make site`: the documents as a site, from the same Markdown. Needs mkdocs-material (requirements/site.lock).

    python -m docs.site dist/site

The pages keep their places, so that a link that leads somewhere in the repository leads there on the site, too. What is
no page (an example, a schema) is copied beside them; a link that leads nowhere ends the build.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGES = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "docs/**/*.md", "helm/**/*.md", "content/**/*.md")
OTHERS = (
    *("LICENSE", "pyproject.toml", "compose.yaml", "examples/*", "schema/*", "packaging/**/*", "bench/*.py"),
    *("content/**/*.*", "helm/**/*.yaml", "helm/**/*.svg", "forwarder/**/*.py", "tests/contract/*.py"),
)


def main() -> int:
    """Build the site into the folder that is named; return what mkdocs returns."""
    target = Path(sys.argv[1]).resolve()
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, "pages")
        for pattern in (*PAGES, *OTHERS):
            for path in ROOT.glob(pattern):
                if path.is_file():
                    to = copy / path.relative_to(ROOT)
                    to.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(path, to)
        settings = Path(folder, "mkdocs.yml")
        shutil.copyfile(ROOT / "docs" / "mkdocs.yml", settings)
        command = [
            sys.executable,
            "-m",
            "mkdocs",
            "build",
            "--strict",
            "-f",
            str(settings),
            "-d",
            str(target),
        ]
        return subprocess.run(command, check=False, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}).returncode  # noqa: S603


if __name__ == "__main__":
    raise SystemExit(main())
