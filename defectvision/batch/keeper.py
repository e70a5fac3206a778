"""Runs a program for a server, stands aside while the server inspects, and ends with it, however
that ends: `python -m defectvision.batch.keeper LOCK PROGRAM [ARGUMENT...]`.

Standard input is a pipe from the server, which closes when the server ends and says when something
is inspected; `LOCK` is the open file by which others know that the program runs, or `-` where there
is none. Both are in a session of their own, and end together.

Priority alone is not enough: what the program does on one core slows what is inspected on another
by what they share, memory above all. So the program is stopped while something is inspected and a
moment longer, as another image often follows; where there is no end to that, it gets a small share.
"""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from select import select
from threading import Thread
from typing import IO

from defectvision.inference.activity import INSPECTIONS

NO_LOCK = "-"
NICE = 10  # parts that are inspected meanwhile go first, and sets that are measured too
BUSY, IDLE = b"b", b"i"  # what the server says
MOMENT = 0.3  # s after the last inspection in which another one is expected
HELD_SECONDS, FREE_SECONDS = 24.0, 1.0  # that the program is stopped at most, and goes on then
PROGRAM = "defectvision.cli"
ROOT = Path(__file__).resolve().parents[2]


def start(
    words: Sequence[str], lock: int | None = None, told: IO[bytes] | None = None
) -> subprocess.Popen[bytes]:
    """Run `defectvision WORDS` at low priority until it or this process ends, in a session of its
    own. lock: an open file that it holds; told: where it writes its log, else this process's.
    Raises OSError."""
    python = [sys.executable, "-m"]
    return subprocess.Popen(
        [*python, __name__, NO_LOCK if lock is None else str(lock), *python, PROGRAM, *words],
        pass_fds=[] if lock is None else [lock],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=told,
        cwd=ROOT,
        start_new_session=True,
    )


@contextmanager
def standing_aside(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Have a program that `start` began stop within the block while this process inspects."""
    assert process.stdin is not None
    pipe = process.stdin.fileno()
    os.set_blocking(pipe, False)

    def tell(busy: bool) -> None:
        with suppress(OSError):  # it has ended, or is told already
            os.write(pipe, BUSY if busy else IDLE)

    with INSPECTIONS.told_to(tell):
        yield


def main() -> None:
    locks = [] if sys.argv[1] == NO_LOCK else [int(sys.argv[1])]
    program = subprocess.Popen(
        sys.argv[2:], stdin=subprocess.DEVNULL, pass_fds=locks, preexec_fn=_become_low
    )
    Thread(target=_follow_server, args=(program.pid,), name="server", daemon=True).start()
    status = program.wait()
    if status < 0:  # end as it ended
        signal.signal(-status, signal.SIG_DFL) if -status != signal.SIGKILL else None
        os.kill(os.getpid(), -status)
    os._exit(status)


def _become_low() -> None:
    """The program alone: what stops it must not wait for its turn."""
    os.nice(NICE)


def _follow_server(program: int) -> None:
    """Stop the program and let it go on as the server says; end both with the server."""
    pace = Pace()
    while True:
        ready, _, _ = select([0], [], [], pace.seconds)
        said = os.read(0, 4096) if ready else None
        if said == b"":
            os.killpg(0, signal.SIGKILL)
        changed = pace.step(time.monotonic(), said)
        if changed is not None:
            for pid in _with_children(program):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGSTOP if changed else signal.SIGCONT)


class Pace:
    """When the program is stopped, from what the server says and from time, in s."""

    def __init__(self) -> None:
        self.held = self._busy = False
        self._last = self._since = -math.inf
        self.seconds: float | None = None  # after which to look again

    def step(self, now: float, said: bytes | None) -> bool | None:
        """What is so at `now`, after the server `said` something: True where the program is to be
        stopped now, False where it is to go on, None where all stays as it is."""
        if said:
            self._busy = said.endswith(BUSY)
            self._last = now
        wanted = self._busy or now - self._last < MOMENT
        if self.held:
            change = not wanted or now - self._since >= HELD_SECONDS
        else:
            change = wanted and now - self._since >= FREE_SECONDS
        if change:
            # Free time counts only where the program was stopped for as long as may be.
            full = self.held and wanted
            self.held = not self.held
            self._since = now if self.held or full else -math.inf
        self.seconds = MOMENT / 3 if wanted or self.held else None
        return self.held if change else None


def _with_children(pid: int) -> list[int]:
    """A process, and those that it began, itself first."""
    found = [pid]
    for one in found:
        with suppress(OSError):
            for task in Path(f"/proc/{one}/task").iterdir():
                found += map(int, (task / "children").read_text().split())
    return found


if __name__ == "__main__":
    main()
