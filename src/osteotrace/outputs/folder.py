"""The folder of results: whole files or none, and nobody else's file is touched."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from osteotrace.errors import OutputError

_LIST = ".osteotrace-files"
_PART = ".part-"
_FOLDERS = ("nifti", "figures", "transforms", "dicom/registration")
_OURS = re.compile(rf"(?:(?:{'|'.join(_FOLDERS)})/)?[A-Za-z0-9][\w.\-]*")
_REMEDY = "choose another -o, or make it writable"


@dataclass(slots=True)
class OutputFolder:
    """Writes files and remembers which ones osteotrace wrote, over several runs and stopped ones.

    Files are written under temporary names and get their own only when all are there (:meth:`finish`): what
    an earlier run left stays whole until then, as a set. The names are kept in a hidden list inside the
    folder. A file that is in the way and not in the list is not ours: it is never replaced.

    Attributes
    ----------
    path : Path
        The folder.
    earlier : frozenset of str
        Files of earlier runs, relative to the folder.
    """

    path: Path
    earlier: frozenset[str]
    _written: list[str] = field(default_factory=list)

    @classmethod
    def open(cls, path: Path) -> OutputFolder:
        """Make or take a folder.

        Raises
        ------
        OutputError
            It is a file, or cannot be made or read.
        """
        if path.exists() and not path.is_dir():
            raise OutputError("the output is not a folder", where=path.name, remedy="name a folder")
        with _as_output_error(path.name):
            path.mkdir(parents=True, exist_ok=True)
            _remove_parts(path)
            listed = path / _LIST
            names = (
                listed.read_text(encoding="utf-8", errors="replace").split("\n") if listed.is_file() else []
            )
        return cls(path, frozenset(n for n in names if _OURS.fullmatch(n)))

    def check_free(self, *names: str) -> None:
        """Raise OutputError when a file of somebody else is in the way."""
        for name in names:
            if (self.path / name).exists() and name not in self.earlier and name not in self._written:
                raise OutputError(
                    "a file that osteotrace did not write is in the way",
                    where=name,
                    remedy="move it away, or choose another -o",
                )

    def save(self, name: str, content: bytes | str | Callable[[Path], None]) -> Path:
        """Write a file under a temporary name.

        Parameters
        ----------
        name : str
            Relative to the folder.
        content : bytes, str or callable
            Text is written as UTF-8; a callable writes the path that it is given.

        Returns
        -------
        Path
            Where the content is until :meth:`finish`.

        Raises
        ------
        OutputError
            The file cannot be written, or somebody else's file is in the way.
        """
        self.check_free(name)
        part = self._part(name)
        self._written.append(name)
        with _as_output_error(name):
            part.parent.mkdir(parents=True, exist_ok=True)
            _fill(part, content)
        return part

    def finish(self) -> tuple[Path, ...]:
        """Give all files their names, and remove what earlier runs left and this one did not write again.

        Returns
        -------
        tuple of Path
            What was written, in order.
        """
        with _as_output_error(self.path.name):
            self._list(sorted(self.earlier | set(self._written)))
            for name in self._written:
                self._part(name).replace(self.path / name)
            for name in sorted(self.earlier - set(self._written)):
                (self.path / name).unlink(missing_ok=True)
            self._list(sorted(self._written))
        return tuple(self.path / name for name in self._written)

    def discard(self) -> None:
        """Remove what was written and not finished."""
        for name in self._written:
            self._part(name).unlink(missing_ok=True)

    def _part(self, name: str) -> Path:
        target = self.path / name
        return target.with_name(_PART + target.name)

    def _list(self, names: Sequence[str]) -> None:
        part = self.path / (_PART + "list")
        part.write_text("\n".join(names) + "\n", encoding="utf-8")
        part.replace(self.path / _LIST)


def _remove_parts(path: Path) -> None:
    """Remove what a run left that was killed."""
    for folder in (path, *(path / name for name in _FOLDERS)):
        for part in folder.glob(f"{_PART}*"):
            part.unlink(missing_ok=True)


def _fill(path: Path, content: bytes | str | Callable[[Path], None]) -> None:
    if isinstance(content, str):
        path.write_text(content, encoding="utf-8", newline="")
    elif isinstance(content, bytes):
        path.write_bytes(content)
    else:
        content(path)


@contextmanager
def _as_output_error(where: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise OutputError(f"the result cannot be written ({reason})", where=where, remedy=_REMEDY) from error
