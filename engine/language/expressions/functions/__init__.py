"""The function library: one module per subject, each function declared once with its signature, words and examples.

`FUNCTIONS` is the whole library by name. A null argument gives null unless a function says otherwise; a wrong type is
refused at load where it is known, else at run time, always without showing the value.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from engine.language.expressions.functions import (
    content,
    json_text,
    lists,
    numbers,
    objects,
    signing,
    strings,
    times,
    values,
)
from engine.language.expressions.signatures import Function, registry

SUBJECTS: Final = (values, numbers, strings, lists, objects, content, json_text, times, signing)
"""The modules of the library in the order of the reference."""

FUNCTIONS: Final[Mapping[str, Function]] = MappingProxyType(registry())
"""Every function by name."""
