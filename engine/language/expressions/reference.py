"""The reference of the function library as Markdown, printed from the declarations themselves.

`python -m engine.language.expressions.reference` prints it; `docs/reference/functions.md` is that text, and a test
compares the two.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Final

from engine.language.expressions.functions import FUNCTIONS, SUBJECTS
from engine.language.expressions.signatures import Example, Function, Parameter, expected
from engine.language.static_types import describe
from engine.types import Json

_HEAD: Final = """# Functions

<!-- Printed by `python -m engine.language.expressions.reference`. Do not edit by hand. -->

Everything that an `=expression` can call. The grammar is JMESPath; the examples run as tests.

- **Null goes through.** If an argument is null (which includes: missing), the result is null. The functions marked
  *takes null* see it as a value instead.
- **Types are checked.** A wrong type that is known when the mapping is loaded is error `E103`; one that turns up in a
  request stops that request with an error that names types and never values.
- Arguments written `name?` may be left out; `…` repeats the last one; `&name` is an expression of each item.
- Functions marked *auth only* stand inside `auth` alone (`E109`). There, what is computed from a secret is a secret.
"""


def reference_markdown() -> str:
    """The whole reference; ends with a newline."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    yield _HEAD
    for subject in SUBJECTS:
        name = subject.__name__.rsplit(".", 1)[-1]
        own = sorted((each for each in FUNCTIONS.values() if each.subject == name), key=lambda each: each.name)
        yield f"## {name.replace('_', ' ').capitalize()}\n"
        yield f"{(subject.__doc__ or '').strip()}\n"
        for function in own:
            yield from _entry(function)


def _entry(function: Function) -> Iterator[str]:
    marks = [word for word, holds in (("takes null", function.takes_null), ("auth only", function.auth_only)) if holds]
    yield f"### {function.name}\n"
    yield f"`{function.call}`" + "".join(f" · *{mark}*" for mark in marks) + "\n"
    yield f"{function.doc}\n"
    for parameter in function.parameters:
        yield f"- `{parameter.name}`: {_parameter(parameter)}"
    if not callable(function.result):
        yield f"- gives {describe(function.result)}{' or null' if function.result.may_be_null else ''}"
    else:
        yield "- gives what its arguments hold"
    yield "\n```text"
    for example in function.examples:
        yield _example(example)
    yield "```\n"


def _parameter(parameter: Parameter) -> str:
    words = expected(parameter)
    if parameter.is_expression:
        return f"an expression of each item, {words}"
    return words


def _example(example: Example) -> str:
    scope = ", ".join(f"{name} = {_json(value)}" for name, value in example.scope.items())
    where = f"    where {scope}" if scope else ""
    return f"{example.expression}  →  {_json(example.result)}{where}"


def _json(value: Json) -> str:
    return json.dumps(value, ensure_ascii=False)


if __name__ == "__main__":
    sys.stdout.write(reference_markdown())
