"""Compiled expressions against the `jmespath` package, on a chat of 20 messages with 10 tools.

Run as a script: `python tests/benchmarks/bench_expressions.py`. Prints µs per evaluation and the ratio, best of 9
rounds; the contenders take turns.
"""

from __future__ import annotations

import timeit
from collections.abc import Callable
from typing import Final

import jmespath

from engine.language.canonical import CANONICAL_REQUEST, CTX
from engine.language.expressions import compile_expression
from engine.language.static_types import ANY
from engine.types import Json, Scope

ROUNDS: Final = 9

EXPRESSIONS: Final = {
    "root field": "req.temperature",
    "field path": "res.choices[0].message.content",
    "or default": "req.max_completion_tokens || req.max_tokens",
    "comparison": "req.stream == `true` && req.n > `1`",
    "filter": "req.messages[?role == 'user'].content",
    "projection": "req.messages[*].content",
    "flatten": "req.messages[].tool_calls[].id",
    "project + hash": "req.messages[*].{r: role, c: content}",
    "tools map": "req.tools[*].function.{name: name, description: description}",
    "usage hash": "{p: res.usage.prompt_tokens, c: res.usage.completion_tokens}",
    "length": "length(req.messages)",
    "join": "join('', req.messages[?role == 'user'].content)",
    "not_null": "not_null(req.max_completion_tokens, req.max_tokens)",
}
"""What is measured, by name."""


def chat() -> Scope:
    """A scope with a request of 20 messages and 10 tools, and a reply."""
    messages = [{"role": "user" if each % 2 else "assistant", "content": f"message {each} " * 8} for each in range(20)]
    messages[4]["tool_calls"] = [{"id": "c1", "type": "function"}]  # type: ignore[assignment]  # a mixed object
    parameters = {"type": "object", "properties": {"city": {"type": "string"}}}
    tools = [
        {"type": "function", "function": {"name": f"tool_{each}", "description": "does it", "parameters": parameters}}
        for each in range(10)
    ]
    return {
        "req": {
            "model": "m",
            "temperature": 0.5,
            "n": 1,
            "stream": True,
            "max_tokens": 5,
            "messages": messages,
            "tools": tools,
        },
        "res": {
            "choices": [{"message": {"role": "assistant", "content": "hello"}}],
            "usage": {"prompt_tokens": 3, "completion_tokens": 4},
        },
    }


def microseconds(call: Callable[[], Json]) -> float:
    """The time of one call, the least of three short runs."""
    number = max(200, int(0.004 / max(timeit.timeit(call, number=20) / 20, 1e-8)))
    return min(timeit.repeat(call, number=number, repeat=3)) / number * 1e6


def row(text: str, scope: Scope) -> tuple[float, float]:
    """µs of ours and of the package."""
    expression, problems = compile_expression(text, {"req": CANONICAL_REQUEST, "res": ANY, "ctx": CTX})
    if expression is None:
        raise SystemExit(f"{text}: {problems}")
    evaluate, theirs = expression.evaluate, jmespath.compile(text)
    if evaluate(scope) != theirs.search(scope):
        raise SystemExit(f"{text}: results differ")
    pairs = [
        (microseconds(lambda: evaluate(scope)), microseconds(lambda: theirs.search(scope))) for _ in range(ROUNDS // 3)
    ]
    return min(ours for ours, _ in pairs), min(package for _, package in pairs)


def main() -> None:
    """Print the table."""
    scope = chat()
    print(f"{'expression':<16}{'ours, µs':>10}{'jmespath, µs':>14}{'ratio':>8}")
    for name, text in EXPRESSIONS.items():
        ours, package = row(text, scope)
        print(f"{name:<16}{ours:>10.3f}{package:>14.2f}{package / ours:>8.1f}")


if __name__ == "__main__":
    main()
