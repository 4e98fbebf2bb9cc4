"""Questions that somebody asks by a browser: each is a process of its own, which ends with the interest in it.

::

    start ─► process ─► done: an answer in every face, or why there is none ─► forgotten after a while
                └─ nobody looks · too long · cancelled · daemon ends ─► killed

Invariants: DuckDB is never loaded here; no more than `MOST` processes run; a folder of an answer is gone as soon as the
process is: what is kept of it are open files without names, so that nothing is left behind whatever happens to us.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import sys
import tempfile
from asyncio.subprocess import DEVNULL, PIPE
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from forwarder.contracts.log import get_logger
from forwarder.exit_codes import ExitCode
from forwarder.investigate.for_page import FACES, PROGRESS

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import AsyncIterator, Mapping, Sequence

MOST = 2
"""Processes at once."""

_MOST_KEPT = 8
_MOST_SAID = 8192  # bytes of what a process says that are kept: the end of it
_LOOK = 0.2
_BLOCK = 64 * 1024

log = get_logger(__name__)


class Patience(NamedTuple):
    """How long a question may take, in seconds.

    Attributes:
        longest: To be answered.
        unwatched: Without anybody looking how far it is.
        kept: After it was answered.
    """

    longest: float = 600.0
    unwatched: float = 30.0
    kept: float = 900.0


class TooMany(Exception):
    """As many processes as may run do run."""


class Question:
    """One question.

    Attributes:
        ident: Cannot be guessed.
        asked: The query with which it was asked.
        progress: What is being read.
        problem: Why there is no answer; empty while there may be one.
        done: Whether the process has ended.
        several: Whether the answer is a list of those that may be meant.
    """

    def __init__(self, asked: Mapping[str, str], now: float) -> None:
        self.ident = secrets.token_urlsafe(16)
        self.asked = dict(asked)
        self.began = self.looked = now
        self.progress = ""
        self.problem = ""
        self.done = self.several = False
        self.pid: int | None = None
        self.task: asyncio.Task[None] | None = None
        self._part = self._said = b""
        self._files: dict[str, int] = {}

    @property
    def said(self) -> str:
        """The end of what the process said besides its progress."""
        return (self._said + self._part).decode(errors="replace").strip()

    def hear(self, data: bytes) -> None:
        """Take what the process said."""
        *lines, self._part = (self._part + data).split(b"\n")
        self._part = self._part[-_MOST_SAID:]
        for line in lines:
            if line.startswith(PROGRESS):
                self.progress = line.removeprefix(PROGRESS).decode(errors="replace")[:200]
            else:
                self._said = (self._said + line + b"\n")[-_MOST_SAID:]

    def keep(self, folder: Path) -> bool:
        """Open the files of an answer; return whether it is whole. Raises OSError for one that cannot be opened."""
        for face in FACES:
            path = folder / f"answer.{face}"
            if not path.is_file():
                return False
            self._files[face] = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        return True

    def size(self, face: str) -> int | None:
        """Return how many bytes an answer has; None where there is none."""
        file = self._files.get(face)
        return None if file is None else os.fstat(file).st_size

    async def read(self, face: str, start: int = 0) -> AsyncIterator[bytes]:
        """Yield an answer in blocks; what is forgotten meanwhile ends.

        In our loop: a thread might read a file that is closed, whose number is another one's by then.
        """
        while (file := self._files.get(face)) is not None and (block := os.pread(file, _BLOCK, start)):
            start += len(block)
            yield block

    def forget(self) -> None:
        """Close the files."""
        files, self._files = self._files, {}
        for file in files.values():
            os.close(file)


class Questions:
    """All questions of one daemon; everything here is called in one loop.

    Args:
        patience: How long they may take.
    """

    def __init__(self, patience: Patience | None = None) -> None:
        self._patience = patience or Patience()
        self._asked: dict[str, Question] = {}

    def start(self, asked: Mapping[str, str], words: Sequence[str], environment: Mapping[str, str]) -> Question:
        """Start a process. Raises TooMany.

        Args:
            asked: The query, to be shown.
            words: Of the command, but for the option that makes it answer to us. What a browser sent stands behind
                `--`, or in one word with the option that it is for. The process reads them: in the list of processes
                nobody sees what was asked.
            environment: Of the process.
        """
        if sum(not one.done for one in self._asked.values()) >= MOST:
            raise TooMany
        kept = [one for one in self._asked.values() if one.done]
        for old in kept[: max(0, len(kept) - _MOST_KEPT + 1)]:
            self._end(old)
        question = Question(asked, _now())
        self._asked[question.ident] = question
        question.task = asyncio.create_task(self._live(question, words, dict(environment)), name="question")
        question.task.add_done_callback(lambda _: self._asked.pop(question.ident))
        return question

    def find(self, ident: str) -> Question | None:
        """Return a question, which somebody looks at."""
        question = self._asked.get(ident)
        if question is not None:
            question.looked = _now()
        return question

    def all(self) -> list[Question]:
        """Return all that are known, the newest first."""
        return list(self._asked.values())[::-1]

    async def cancel(self, ident: str) -> Question | None:
        """End a question and forget it; return it when its process is gone."""
        question = self._asked.get(ident)
        if question is not None and question.task is not None:
            self._end(question)
            await asyncio.wait({question.task})
        return question

    async def close(self) -> None:
        """End all."""
        for question in self.all():
            await self.cancel(question.ident)

    def _end(self, question: Question) -> None:
        if question.task is not None:
            question.task.cancel()

    async def _live(self, question: Question, words: Sequence[str], environment: dict[str, str]) -> None:
        try:
            await self._answer(question, words, environment)
            question.done = True
            log.info(
                "question_ended", kind=question.asked.get("kind"), answered=not question.problem,
                seconds=round(_now() - question.began, 1),
            )  # fmt: skip
            await asyncio.sleep(self._patience.kept)
        finally:
            question.forget()

    async def _answer(self, question: Question, words: Sequence[str], environment: dict[str, str]) -> None:
        try:
            folder = Path(tempfile.mkdtemp(prefix="audit-forwarder-question-"))
        except OSError as error:
            question.problem = f"There is no place for the answer: {error.strerror}."
            return
        process = None
        try:
            process = await _begun(words, folder, environment)
            question.pid = process.pid
            question.problem = await self._ended(question, process)
            if not question.problem and not question.keep(folder):
                question.problem = "It could not be answered."
            question.several = not question.problem and process.returncode == ExitCode.CONFIGURATION
        except (OSError, ValueError) as error:  # no process, no descriptor, or a word that no process can be given
            question.problem = f"It could not be asked: {error}."
        finally:
            if process is not None and process.returncode is None:
                process.kill()
                await process.wait()
            shutil.rmtree(folder, ignore_errors=True)

    async def _ended(self, question: Question, process: Process) -> str:
        """Wait until a process has ended; return why it is not worth waiting for."""
        ending = asyncio.create_task(_heard(question, process), name="question-process")
        try:
            while not ending.done():
                await asyncio.wait({ending}, timeout=_LOOK)
                if _now() - question.looked > self._patience.unwatched:
                    return "It was no longer waited for."
                if _now() - question.began > self._patience.longest:
                    return f"It took longer than {self._patience.longest:g} s. Ask about less time, or make an index."
        finally:
            ending.cancel()
        await ending
        code = process.returncode or 0
        return f"Its process was ended by signal {-code}: too little memory, perhaps." if code < 0 else ""


async def _begun(words: Sequence[str], folder: Path, environment: dict[str, str]) -> Process:
    command = [sys.executable, "-P", "-m", "forwarder.cli.answer_page", str(folder)]
    environment |= {"TMPDIR": str(folder), "NO_COLOR": "1", "COLUMNS": "100"}
    process = await asyncio.create_subprocess_exec(
        *command, stdin=PIPE, stdout=DEVNULL, stderr=PIPE, env=environment, start_new_session=True
    )
    assert process.stdin is not None  # noqa: S101 -- for the type checker
    process.stdin.write(msgspec.json.encode(words) + b"\n")  # it stays open: its end is ours
    return process


async def _heard(question: Question, process: Process) -> None:
    assert process.stderr is not None  # noqa: S101 -- for the type checker
    while data := await process.stderr.read(_MOST_SAID):
        question.hear(data)
    await process.wait()


def _now() -> float:
    return asyncio.get_running_loop().time()
