"""The store's folder: what its parts are called, and where it lies unless somebody says."""

from __future__ import annotations

import logging
from pathlib import Path

log = logging.getLogger(__name__)
DATABASE, FILES = "defectvision.sqlite3", "files"
MOUNTS = Path("/proc/self/mountinfo")
# Kinds of file systems that several machines mount, as Linux calls them.
SHARES = frozenset(
    {
        *("nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "ceph", "lustre", "gpfs", "beegfs"),
        *("ocfs2", "gfs2", "fuse.glusterfs", "fuse.ceph", "fuse.sshfs", "fuse.s3fs"),
        *("fuse.rclone", "fuse.mount-s3", "fuse.gcsfuse", "fuse.juicefs"),
    }
)


def is_store(folder: Path) -> bool:
    """Whether a folder holds a store's database, or its files where the database is elsewhere."""
    return (folder / DATABASE).is_file() or (folder / FILES).is_dir()


def store_in(folder: Path, earlier: Path) -> Path:
    """`folder`, unless only the place `earlier` holds a store, left by an earlier version: it is
    used with everything in it, and the log says how to move it."""
    if is_store(folder) or not is_store(earlier):
        return folder
    log.warning(
        "the store lies in %s, where an earlier version put it, and is used there. To move it, "
        "stop the server and rename that folder to %s; to leave it, set DEFECTVISION_STORE=%s",
        earlier,
        folder,
        earlier,
    )
    return earlier


def kind_of_mount(path: Path) -> str:
    """Of the file system that `path` lies on, or will; empty where the system does not say."""
    try:
        lines = MOUNTS.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return ""
    place, best, kind = path.absolute().resolve(), -1, ""
    for line in lines:  # see proc_pid_mountinfo(5)
        before, _, after = line.partition(" - ")
        mount = Path(before.split(" ")[4].encode().decode("unicode_escape"))
        if place.is_relative_to(mount) and len(mount.parts) >= best:
            best, kind = len(mount.parts), after.split(" ")[0]
    return kind
