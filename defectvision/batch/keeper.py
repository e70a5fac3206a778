"""Runs a program for a server and ends with it, however that ends:
`python -m defectvision.batch.keeper LOCK PROGRAM [ARGUMENT...]`.

Standard input is a pipe from the server, which closes when the server ends; `LOCK` is the open file
by which others know that the program runs, or `-` where there is none. Both are in a session of
their own, and end together.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from threading import Thread

NO_LOCK = "-"
NICE = 10  # parts that are inspected meanwhile go first, and sets that are measured too


def main() -> None:
    os.nice(NICE)
    Thread(target=_end_with_server, name="server", daemon=True).start()
    locks = [] if sys.argv[1] == NO_LOCK else [int(sys.argv[1])]
    program = subprocess.Popen(sys.argv[2:], stdin=subprocess.DEVNULL, pass_fds=locks)
    status = program.wait()
    if status < 0:  # end as it ended
        signal.signal(-status, signal.SIG_DFL) if -status != signal.SIGKILL else None
        os.kill(os.getpid(), -status)
    os._exit(status)


def _end_with_server() -> None:
    os.read(0, 1)
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    main()
