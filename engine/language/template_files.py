"""Template files: where `{file: name}` is looked up, and what was read, which is part of a mapping's digest."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from engine.language.problems import Mark, Problems, did_you_mean
from engine.language.shipped import TEMPLATES

_MAX_TEMPLATE_BYTES: Final = 1 << 20
_SHOWN_CHARACTERS: Final = 80


class TemplateFiles:
    """Finds the templates of one mapping: in `templates/` beside the mapping's folder, then among the shipped ones.

    Nothing outside those folders can be named (rule R23); each file is read once.
    """

    def __init__(self, folders: Sequence[Path], problems: Problems) -> None:
        self._folders = folders
        self._problems = problems
        self._read: dict[Path, str | None] = {}

    def __call__(self, name: str, mark: Mark) -> str | None:
        """The text of a template, or None with an E034."""
        roots = self._roots(mark.file)
        for root in roots:
            path = root / name
            if _is_file_inside(path, root):
                if path not in self._read:
                    self._read[path] = self._text(path, name, mark)
                return self._read[path]
        known = sorted({str(path.relative_to(root)) for root in roots for path in root.rglob("*.j2")})
        shown = name if len(name) <= _SHOWN_CHARACTERS else f"{name[:_SHOWN_CHARACTERS]}…"
        self._problems.add(
            "E034", f"there is no template {shown!r}", mark, length=len(name), help=did_you_mean(name, known)
        )
        return None

    def digest(self, own: str) -> str:
        """The digest `own` of a mapping, made anew with the text of the templates that it reads, if there are any."""
        if not self._read:
            return own
        texts = sorted(text for text in self._read.values() if text is not None)
        return hashlib.sha256("\0".join([own, *texts]).encode()).hexdigest()[: len(own)]

    def _text(self, path: Path, name: str, mark: Mark) -> str | None:
        try:
            data = path.read_bytes()
            if len(data) <= _MAX_TEMPLATE_BYTES:
                return data.decode()
            why = f"is larger than {_MAX_TEMPLATE_BYTES} bytes"
        except UnicodeDecodeError:
            why = "is not UTF-8"
        except OSError as error:
            why = f"cannot be read: {error.strerror}"
        self._problems.add("E034", f"the template {name!r} {why}", mark, length=len(name))
        return None

    def _roots(self, file: str) -> list[Path]:
        roots = []
        for folder in self._folders:
            if Path(file).is_relative_to(folder):
                base = folder if folder.is_dir() else folder.parent
                roots += [base / "templates", base.parent / "templates"]
        roots.append(Path(file).parent / "templates")
        return [*dict.fromkeys(root for root in roots if root.is_dir()), TEMPLATES]


def _is_file_inside(path: Path, root: Path) -> bool:
    """Whether there is such a file, links followed; names that the system refuses are names of no file."""
    try:
        return path.is_file() and path.resolve().is_relative_to(root.resolve())
    except (OSError, ValueError):
        return False
