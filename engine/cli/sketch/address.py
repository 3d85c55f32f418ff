"""The path of a call as a mapping has it: placeholders of documentation, variables, and the model's name in it."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Final

from engine.cli.sketch.credentials import KEY_LIKE, VARIABLE
from engine.cli.sketch.words import plain_name, words
from engine.types import JsonObject

_PLACEHOLDER: Final = re.compile(rf"{VARIABLE.pattern}|\{{([A-Za-z_][A-Za-z0-9_]*)\}}|(?<=/):([A-Za-z_][A-Za-z0-9_]*)")
_MODEL: Final = re.compile(r"(?<=/)(models?|engines|deployments)/([^/:{}<$]+)")
_VERSION: Final = re.compile(r"v[0-9][\w.-]*|[0-9.]+")


@dataclass(slots=True)
class Address:
    """`path` with its `path_params`; `options` stand in it and are nobody's secret; `model` is that of the sample."""

    path: str
    params: JsonObject = field(default_factory=dict)
    options: list[str] = field(default_factory=list)
    model: str | None = None
    notes: list[str] = field(default_factory=list)


def draft_address(path: str, model: str | None, replied: Collection[str]) -> Address:
    """The path of a command. `model` is the one that its body names; `replied` are the short texts of the reply."""
    made, has_model = Address(path), model is not None
    found = list(_PLACEHOLDER.finditer(path))
    names = {each[0]: _name(each) for each in found}
    for text, name in names.items():
        if not has_model and made.model is None and (_is_model(name) or len(names) == 1):
            made.params["model"], made.model = "=model.name", "m"
            made.path = made.path.replace(text, "{model}")
            if not _is_model(name):
                made.notes.append(f"CHECK: {text} of the path is taken for the model.")
        else:
            _put_option(made, text, name)
    for piece in (each for each in made.path.split("/") if KEY_LIKE.fullmatch(each)):
        _put_option(made, piece, "key" if "key" not in made.params else f"key_{len(made.params)}")
    if not has_model and made.model is None:
        _find_model(made, replied)
    elif model is not None and (named := re.search(rf"(?<=/){re.escape(model)}(?=[/:]|$)", made.path)):
        _put_model(made, named.start(), model)
    return made


def _put_option(made: Address, text: str, name: str) -> None:
    made.params[name] = f"=opt.{name}"
    made.options.append(name)
    made.path = made.path.replace(text, f"{{{name}}}")
    made.notes.append(f"CHECK: {name} of the path is an option now. A key cannot be one: paths have no secrets.")


def _name(found: re.Match[str]) -> str:
    name = re.sub(r"\W+", "_", next(each for each in found.groups() if each)).strip("_").lower()
    return name if name != "model" else "model_name"


def _is_model(name: str) -> bool:
    return "model" in name or plain_name(name) in words("request", "models")


def _find_model(made: Address, replied: Collection[str]) -> None:
    """A name behind `models/`, or a piece of the path that comes back in the reply."""
    found = _MODEL.search(made.path)
    if found is not None:
        _put_model(made, found.start(2), found[2])
        return
    for piece in re.finditer(r"(?<=/)[^/:{}]+", made.path):
        if piece[0] in replied and not _VERSION.fullmatch(piece[0]):
            _put_model(made, piece.start(), piece[0])
            made.notes.append(f"CHECK: {piece[0]} of the path stands in the reply too, and is taken for the model.")
            return


def _put_model(made: Address, at: int, name: str) -> None:
    made.path = f"{made.path[:at]}{{model}}{made.path[at + len(name) :]}"
    made.params["model"], made.model = "=model.name", name
