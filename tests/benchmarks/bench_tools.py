"""What reading tool calls costs: plain text per delta, and hostile text of 1 and 2 MB.

Run as a script: `python tests/benchmarks/bench_tools.py`. Prints µs per delta, seconds, and t(2n)/t(n), best of 2.
`tests/translate/tools/test_cost.py` holds the figures loosely.
"""

from __future__ import annotations

import functools
import json
import time
from collections.abc import Callable
from typing import Final

from engine.language.catalog import load_catalog
from engine.translate.tools.pieces import CallArguments, CallStart, ReasoningPiece, TextPiece
from engine.translate.tools.plan import Literals, ToolformatPlan
from engine.translate.tools.reader import ToolReader
from engine.types import JsonObject

DELTA_CHARS: Final = 40
MB: Final = 1 << 20
TOOLS: Final[list[JsonObject]] = [
    {"type": "function", "function": {"name": "run", "parameters": {"properties": {"script": {"type": "string"}}}}}
]
_FILL: Final = "Words, and more words that say nothing about it. "


def spread(bit: str, count: int, size: int) -> str:
    """`count` times a bit, among plain text of about `size` characters in all."""
    gap = max(size // count - len(bit), 1)
    filling = (_FILL * (gap // len(_FILL) + 1))[:gap]
    return (bit + filling) * count


HOSTILE: Final[dict[str, tuple[tuple[str, ...], Callable[[int], str]]]] = {
    "10,000 `<`": (("xml_json",), lambda size: spread("<", 10_000 * size // MB, size)),
    "10,000 unclosed <tool_call>": (("xml_json",), lambda size: spread("<tool_call>", 10_000 * size // MB, size)),
    "10,000 unclosed calls": (
        ("xml_json",),
        lambda size: spread('<tool_call>{"name": "run", "arguments": {"script": "', 10_000 * size // MB, size),
    ),
    "10,000 damaged calls": (
        ("xml_json",),
        lambda size: spread('<tool_call>{"name": "run", "arguments": {"script": @', 10_000 * size // MB, size),
    ),
    "10,000 unclosed parameters": (
        ("qwen3_coder_xml", "xml_json"),
        lambda size: spread("<function=run><parameter=script>", 10_000 * size // MB, size),
    ),
    "10,000 names without an end": (("qwen3_coder_xml",), lambda size: spread("<function=", 10_000 * size // MB, size)),
    "10,000 open fences": (("xml_json", "fenced_json"), lambda size: spread("\n```json\n{", 10_000 * size // MB, size)),
    "bare JSON, unclosed": (
        ("llama3_json",),
        lambda size: "[\n" * 30 + spread('\n{"a": "b"},', 10_000 * size // MB, size),
    ),
    "keys before the name": (
        ("xml_json",),
        lambda size: "<tool_call>{" + spread('"a": "b", ', 10_000 * size // MB, size).replace(_FILL, ""),
    ),
    "one call of 1 MB": (
        ("xml_json",),
        lambda size: '<tool_call>{"name": "run", "arguments": {"script": "' + "x" * size,
    ),
    "one parameter of 1 MB": (
        ("qwen3_coder_xml",),
        lambda size: "<function=run>\n<parameter=script>\n" + "x\n" * (size // 2),
    ),
    "white space": (("xml_json",), lambda size: "a" + " " * size),
    "10,000 escapes": (
        ("xml_json",),
        lambda size: spread("<tool_call>{&quot;a", 10_000 * size // MB, size),
    ),
}
"""Hostile texts by name: the formats that read them, and the text for a size in characters."""


@functools.cache
def shipped() -> dict[str, ToolformatPlan]:
    """All shipped formats by id."""
    return dict(sorted(load_catalog().toolformats.items()))


def formats(names: tuple[str, ...]) -> list[ToolformatPlan]:
    """The shipped formats of these names."""
    return [shipped()[name] for name in names]


def read_all(plans: list[ToolformatPlan], text: str, step: int) -> float:
    """Seconds of the processor to read a text in deltas of `step` characters."""
    parts = [text[at : at + step] for at in range(0, len(text), step)]
    reader = ToolReader(plans, TOOLS)
    begin = time.process_time()
    for part in parts:
        reader.feed(part)
    reader.finish()
    return time.process_time() - begin


def plain_us(names: tuple[str, ...] = ("xml_json",)) -> float:
    """µs per 40-character delta of plain text: best of 9."""
    text = (_FILL * (MB // len(_FILL)))[: DELTA_CHARS * 5_000]
    plans = formats(names)
    return min(read_all(plans, text, DELTA_CHARS) for _ in range(9)) / 5_000 * 1e6


def growth(name: str, step: int, size: int = MB) -> tuple[float, float]:
    """Seconds for `size` and twice as much."""
    names, make = HOSTILE[name]
    return _growth(formats(names), make, step, size)


def _growth(plans: list[ToolformatPlan], make: Callable[[int], str], step: int, size: int) -> tuple[float, float]:
    """Seconds for `size` and twice as much: best of 3 each in turns: a busy machine slows both."""
    small, large = make(size), make(2 * size)
    tries = [(read_all(plans, small, step), read_all(plans, large, step)) for _ in range(3)]
    return min(once for once, _ in tries), min(twice for _, twice in tries)


def own_bits(plan: ToolformatPlan) -> dict[str, str]:
    """What 10,000 of hurt each format most: `<`, its openers alone, and its calls, left open in the first argument."""
    openers = opening_literals(plan)
    return {
        "<": "<",
        "openers": openers[0] if openers else "[{",
        "unclosed calls": written_call(plan, "CUT").partition("CUT")[0],
    }


def own_growth(name: str, bit: str, step: int, size: int = MB) -> tuple[float, float]:
    """Seconds for `size` and twice as much of a format's own hostile text."""
    [plan] = formats((name,))
    text = own_bits(plan)[bit]
    return _growth([plan], lambda wanted: spread(text, 10_000 * wanted // MB, wanted), step, size)


def opening_literals(plan: ToolformatPlan) -> list[str]:
    """Every literal with which something of a format may begin."""
    read = plan.read
    heads = [tokens[0] for rule in read.calls for tokens in rule.heads]
    found = [text for head in heads if isinstance(head, Literals) for text in head.texts]
    found += [*(read.section.open if read.section else ()), *read.drop]
    return [*found, *(text for region in read.regions for text in region.open)]


def written_call(plan: ToolformatPlan, script: str) -> str:
    """A call as the format itself writes it."""
    call = {"id": "call_1", "name": "run", "args": {"script": script}, "index": 0}
    call["arguments"] = json.dumps(call["args"])
    made = plan.history_call({"call": call, "m": {"role": "assistant", "content": None, "tool_calls": []}})
    return f"{plan.calls_open}{made}{plan.calls_close}"


def hold_back(name: str) -> tuple[int, int, int]:
    """The most characters that are held at once: in prose, then in a call with an argument of 4,000 characters.

    The prose has every opener of the format cut short at each place, and whole before words that make no call. For the
    call: characters from its beginning to its first delta, and the most that wait between two deltas of its arguments.
    """
    [plan] = formats((name,))
    openers = [*opening_literals(plan), *(char for rule in plan.read.calls for char in rule.bare)]
    cuts = [each[:cut] for each in openers for cut in range(1, len(each))]
    prose = [f"a {each} b. " for each in cuts] + [f"\n{each} {_FILL * 10}" for each in openers]
    return max(_held_text(plan, each) for each in prose), *_held_call(plan, written_call(plan, "y " * 2_000))


def _held_text(plan: ToolformatPlan, text: str) -> int:
    reader, given, most = ToolReader([plan], TOOLS), 0, 0
    for number, character in enumerate(text, 1):
        given += sum(len(each.text) for each in reader.feed(character) if isinstance(each, TextPiece | ReasoningPiece))
        most = max(most, number - given)
    return most


def _held_call(plan: ToolformatPlan, text: str) -> tuple[int, int]:
    reader, began, last, most = ToolReader([plan], TOOLS), 0, 0, 0
    for number, character in enumerate(text, 1):
        pieces = reader.feed(character)
        if any(isinstance(each, CallStart) for each in pieces):
            began = last = number
        elif any(isinstance(each, CallArguments) for each in pieces):
            most, last = max(most, number - last), number
    if not began:
        began = len(text)
    return began, max(most, len(text) - last if last else 0)


def main() -> None:
    """Print the figures."""
    print("characters held back           in prose  to the call  between deltas")
    for name in shipped():
        prose, began, between = hold_back(name)
        print(f"{name:30} {prose:8} {began:12} {between:15}")
    for names in (("xml_json",), ("xml_json", "anthropic_xml", "fenced_json"), ("hermes_json", "qwen3_coder_xml")):
        print(f"plain text, {' + '.join(names):45} {plain_us(names):6.2f} µs per {DELTA_CHARS}-character delta")
    for name in shipped():
        for bit in ("<", "openers", "unclosed calls"):
            once, twice = own_growth(name, bit, DELTA_CHARS)
            what = f"{name}, 10,000 {bit}"
            print(f"{what:40} {once:7.3f} s  {twice:7.3f} s  t(2n)/t(n) {twice / once:5.2f}")
    for name in HOSTILE:
        for step in (DELTA_CHARS, 2 * MB):
            once, twice = growth(name, step)
            how = "40 a delta" if step == DELTA_CHARS else "whole"
            print(f"{name:30} {how:10} {once:7.3f} s  {twice:7.3f} s  t(2n)/t(n) {twice / once:5.2f}")


if __name__ == "__main__":
    main()
