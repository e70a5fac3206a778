"""The name under which a worker claims a batch: machine, process, and a part of its own.

A process of this machine that has ended is known to be gone at once, so that a server that was
killed and started again need not wait until its own claim falls silent.
"""

from __future__ import annotations

import hashlib
import os
import socket
import uuid
from functools import cache
from pathlib import Path

PROC = Path("/proc")
LONGEST_HOST = 80
ENDED = ("Z", "X")  # states of a process that has ended and waits for its parent


def new_holder() -> str:
    """A name that no other worker has: host, process, its start, where that process can be looked
    up, and a random part."""
    process = os.getpid()
    host = socket.gethostname().replace(":", "-")[:LONGEST_HOST]
    return f"{host}:{process}:{_start_of(process)}:{_place()}:{uuid.uuid4().hex[:12]}"


def machine_of(holder: str) -> str:
    """The name of the machine that a holder is on."""
    return holder.partition(":")[0]


def has_ended(holder: str) -> bool:
    """Whether the holder's process is known to have ended; False also where that cannot be told
    from here: it may be on another machine or in another container."""
    try:
        _, process, start, place, _ = holder.rsplit(":", 4)
        number = int(process)
    except ValueError:
        return False
    return bool(place) and place == _place() and start != _start_of(number)


def _start_of(process: int) -> str:
    """When a process started, in ticks since the machine did; empty where there is none of that
    number. Numbers are used again, starts are not."""
    try:
        text = (PROC / str(process) / "stat").read_text()
    except OSError:
        return ""
    fields = text.rpartition(")")[2].split()  # after the program's name, which may hold anything
    return "" if fields[0] in ENDED else fields[19]


@cache
def _place() -> str:
    """This start of this machine and this set of process numbers; empty where the system does not
    say."""
    try:
        boot = (PROC / "sys/kernel/random/boot_id").read_text()
        numbers = (PROC / "self/ns/pid").readlink()
    except OSError:
        return ""
    return hashlib.sha256(f"{boot}{numbers}".encode()).hexdigest()[:12]
