"""Files that survive a kill at any moment: what is recorded as done is on disk."""

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
"""The mode of files with records: only their owner can read them."""


class Disk:
    """All changes of files, one method each, so that tests can pass in a disk that fails."""

    def open(self, path: Path) -> FileIO:
        """Open a file for reading and writing at its beginning; create it if it does not exist."""
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), PRIVATE)
        return os.fdopen(descriptor, "r+b", buffering=0)  # so that closing never writes

    def cut(self, file: FileIO, size: int) -> None:
        """Drop what follows `size` bytes, and stand there."""
        file.seek(size)
        file.truncate()

    def write(self, file: FileIO, content: bytes) -> None:
        """Write all of the content."""
        rest = memoryview(content)
        while rest:
            rest = rest[file.write(rest) :]

    def sync(self, file: FileIO) -> None:
        """Return once the content is on the disk."""
        os.fsync(file.fileno())

    def rename(self, old: Path, new: Path) -> None:
        """Rename in one step, so that the new name never has half a file."""
        os.replace(old, new)
        sync_directory(new.parent)

    def remove(self, path: Path) -> None:
        """Remove the file if it exists."""
        path.unlink(missing_ok=True)


class Growing:
    """A file that grows. Opening it drops what follows `size`: it was never recorded as done.

    The file is created with the first content. With a size of 0, an existing one is removed.
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
                " to start again"
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
        """Append the content."""
        if self._file is None:
            self._file = self._disk.open(self.path)
        self._disk.write(self._file, content)
        self.size += len(content)

    def sync(self) -> None:
        """Return once everything appended is on the disk."""
        if self._file is not None:
            self._disk.sync(self._file)


def sync_directory(directory: Path) -> None:
    """Return once renames in the directory are on the disk, if the system can synchronise that."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def beside(path: Path, suffix: str) -> Path:
    """Return the path with the suffix appended to its name."""
    return path.with_name(path.name + suffix)


def save(disk: Disk, path: Path, content: dict[str, Any]) -> None:
    """Replace a small JSON file in one step."""
    new = beside(path, ".new")
    with disk.open(new) as file:
        disk.cut(file, 0)
        disk.write(file, jsontext.dumps(content) + b"\n")
        disk.sync(file)
    disk.rename(new, path)


def forget(disk: Disk, path: Path) -> None:
    """Remove what `save` has saved, or begun to save."""
    disk.remove(beside(path, ".new"))
    disk.remove(path)


def load(path: Path, state_class: type, *, of: str) -> dict[str, Any] | None:
    """Return the fields of a state that `save` has saved, or None. Raises FileProblem."""
    try:
        content = jsontext.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except jsontext.NotJsonError:
        content = None
    names = {field.name for field in attrs.fields(state_class)}
    if not isinstance(content, dict) or content.keys() != names or content["of"] != of:
        raise FileProblem(f"{path} is not a progress file of an {of}; remove it to start again")
    return content


_WRITABLE = "use a directory that you can write to"


@contextmanager
def exclusive(path: Path, *, otherwise: str = _WRITABLE) -> Iterator[None]:
    """Hold a lock on a file beside `path` during the block. On Windows there is no lock.

    Raises FileProblem if another process holds it, and if the file cannot be created for lack of
    permission; the fix is then `otherwise`. The system releases the lock when the process ends.
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
    """Create and lock the file, and return its descriptor. Raises FileProblem."""
    while True:
        try:
            descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, PRIVATE)
        except OSError as error:
            if error.errno not in _FORBIDDEN:
                raise
            problem = FileProblem(f"{lock} cannot be created: {error.strerror}; {otherwise}")
            raise problem from None
        with ExitStack() as unless_locked:
            unless_locked.callback(os.close, descriptor)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                problem = FileProblem(f"{lock} is held by another run of this; wait for its end")
                raise problem from None
            # An owner that ended in between has removed this file, and a later run may have created
            # another one: a lock on the removed file would exclude nothing.
            if lock.exists() and os.path.samestat(os.fstat(descriptor), lock.stat()):
                unless_locked.pop_all()
                return descriptor


@contextmanager
def naming_errors(path: Path, doing: str) -> Iterator[None]:
    """Turn an OSError of the block into a FileProblem that names the file and the fix."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or type(error).__name__
        problem = FileProblem(f"{path} cannot be {doing}: {reason}; {_fix_of(error)}")
    else:
        return
    raise problem


_FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)


def _fix_of(error: OSError) -> str:
    """What to do about the error, for the end of a message."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "make room, and the same command continues where it stopped"
    if isinstance(error, FileNotFoundError):
        return "check the name"
    if error.errno in _FORBIDDEN:
        return "use a file and a directory that you can read and write"
    return "fix that, and the same command continues where it stopped"
