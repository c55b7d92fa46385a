"""Files that survive a kill at any moment: work recorded as done is on disk."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from io import FileIO
from pathlib import Path
from typing import Any, Self

import attrs

from thrivecalc_models.errors import FileProblem
from thrivecalc_models.exchange import jsontext

if sys.platform != "win32":
    import fcntl

PRIVATE = 0o600
"""Files with records are for their owner alone."""


class Disk:
    """The few things that are done to files, one method each: tests put in one that breaks."""

    def open(self, path: Path) -> FileIO:
        """For reading and writing from its beginning on; made if it is not there."""
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), PRIVATE)
        return os.fdopen(descriptor, "r+b", buffering=0)  # closing must not write anything

    def cut(self, file: FileIO, size: int) -> None:
        """Drop what is behind `size` bytes, and go on there."""
        file.seek(size)
        file.truncate()

    def write(self, file: FileIO, content: bytes) -> None:
        """All of it."""
        rest = memoryview(content)
        while rest:
            rest = rest[file.write(rest) :]

    def sync(self, file: FileIO) -> None:
        """Return once the content is on the disk."""
        os.fsync(file.fileno())

    def rename(self, old: Path, new: Path) -> None:
        """In one step, so that there is never half a file under the new name."""
        os.replace(old, new)
        sync_directory(new.parent)

    def remove(self, path: Path) -> None:
        path.unlink(missing_ok=True)


class Growing:
    """A file that grows. What is behind `size` was never recorded, and is dropped.

    It is made with the first content; with nothing recorded, one that is there is removed.
    """

    def __init__(self, disk: Disk, path: Path, size: int) -> None:
        self.path = path
        self.size = size
        self._disk = disk
        self._file: FileIO | None = None

    def __enter__(self) -> Self:
        if not self.size:
            self._disk.remove(self.path)
        elif not self.path.exists() or self.path.stat().st_size < self.size:
            raise FileProblem(
                f"{self.path} is shorter than what was written; remove the progress file beside it"
                " to begin anew"
            )
        else:
            self._file = self._disk.open(self.path)
            with ExitStack() as unless_it_fails:
                unless_it_fails.callback(self._file.close)
                self._disk.cut(self._file, self.size)
                unless_it_fails.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def add(self, content: bytes) -> None:
        if self._file is None:
            self._file = self._disk.open(self.path)
        self._disk.write(self._file, content)
        self.size += len(content)

    def sync(self) -> None:
        if self._file is not None:
            self._disk.sync(self._file)


def sync_directory(directory: Path) -> None:
    """Let renames reach the disk, where directories can be synchronised."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def beside(path: Path, suffix: str) -> Path:
    """The file of that suffix beside another one."""
    return path.with_name(path.name + suffix)


def save(disk: Disk, path: Path, content: dict[str, Any]) -> None:
    """Replace a small JSON file as a whole."""
    new = beside(path, ".new")
    with disk.open(new) as file:
        disk.cut(file, 0)
        disk.write(file, jsontext.dumps(content) + b"\n")
        disk.sync(file)
    disk.rename(new, path)


def forget(disk: Disk, path: Path) -> None:
    """Remove what `save` has saved, or begun to."""
    disk.remove(beside(path, ".new"))
    disk.remove(path)


def load(path: Path, state_class: type, *, of: str) -> dict[str, Any] | None:
    """The fields of a state that `save` has saved, or None. Raises FileProblem."""
    try:
        content = jsontext.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except jsontext.NotJsonError:
        content = None
    names = {field.name for field in attrs.fields(state_class)}
    if not isinstance(content, dict) or content.keys() != names or content["of"] != of:
        raise FileProblem(f"{path} is no progress file of an {of}; remove it to begin anew")
    return content


_WRITABLE = "take a directory that you may write"


@contextmanager
def exclusive(path: Path, *, otherwise: str = _WRITABLE) -> Iterator[None]:
    """Refuse what another process is doing already, with a file beside `path`.

    Where it cannot be made, for want of permission, `otherwise` is the way out.

    The lock ends with the process, however that ends. On Windows there is none. Raises FileProblem.
    """
    if sys.platform == "win32":
        yield
        return
    lock = beside(path, ".lock")
    descriptor = _locked(lock, otherwise)
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)  # still ours: no other process can lock it before it is closed
        os.close(descriptor)


def _locked(lock: Path, otherwise: str) -> int:
    while True:
        try:
            descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, PRIVATE)
        except OSError as error:
            if error.errno not in _FORBIDDEN:
                raise
            problem = FileProblem(f"{lock} cannot be made: {error.strerror}; {otherwise}")
            raise problem from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if lock.exists() and os.path.samestat(os.fstat(descriptor), lock.stat()):
                return descriptor
        except BlockingIOError:
            taken = True
        except BaseException:
            os.close(descriptor)
            raise
        else:
            taken = False  # its owner has just ended, and removed it
        os.close(descriptor)
        if taken:
            raise FileProblem(f"{lock} is held by another run of this; wait for its end")


@contextmanager
def naming_errors(path: Path, doing: str) -> Iterator[None]:
    """Turn an OSError into a FileProblem that names the file and the way out."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or type(error).__name__
        problem = FileProblem(f"{path} cannot be {doing}: {reason}; {_way_out(error)}")
    else:
        return
    raise problem


_FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)


def _way_out(error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "make room, and the same command goes on where it stopped"
    if isinstance(error, FileNotFoundError):
        return "check the name"
    if error.errno in _FORBIDDEN:
        return "take a file and a directory that you may read and write"
    return "fix that, and the same command goes on where it stopped"
