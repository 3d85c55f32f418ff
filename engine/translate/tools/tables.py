"""What a list of formats looks for, by first character: made once per list, shared by all readers.

One gate for all formats of a list: a text in which no marker's first character occurs is passed on at once.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from engine.translate.tools.neutral import Neutraliser
from engine.translate.tools.plan import CallRule, Literals, Region, ToolformatPlan

FENCE: Final = "```"


@dataclass(frozen=True, slots=True)
class Opening:
    """Something that may begin with a character. `kind` is fence, section, head, bare, region, drop or owed."""

    kind: str
    plan: ToolformatPlan
    rule: CallRule | None = None
    region: Region | None = None


@dataclass(frozen=True, slots=True)
class Tables:
    """`openings` by first character, in the order of trying; `gate` finds the next such character."""

    openings: dict[str, tuple[Opening, ...]]
    gate: re.Pattern[str]
    neutralisers: tuple[Neutraliser, ...]


@functools.lru_cache(maxsize=256)
def tables_of(plans: tuple[ToolformatPlan, ...]) -> Tables:
    """The tables of a list of formats, in order of preference."""
    openings: dict[str, list[Opening]] = {}
    for plan in plans:
        for chars, opening in _openings(plan):
            for char in chars:
                found = openings.setdefault(char, [])
                if opening not in found:
                    found.append(opening)
    inserts = {plan.neutralise for plan in plans if plan.neutralise}
    gate = "".join(re.escape(char) for char in sorted({*openings, *inserts}))
    markers = [marker for plan in plans for marker in plan.markers]
    return Tables(
        {char: tuple(found) for char, found in openings.items()},
        re.compile(f"[{gate}]" if gate else r"(?!)"),
        tuple(Neutraliser(markers, insert) for insert in sorted(inserts)),
    )


def _openings(plan: ToolformatPlan) -> Iterator[tuple[set[str], Opening]]:
    """What a format looks for. Calls come before regions and stray tokens, which may begin alike."""
    read = plan.read
    if read.fence:
        yield {FENCE[0]}, Opening("fence", plan)
    if read.section is not None:
        yield _firsts(read.section.open), Opening("section", plan)
    for rule in read.calls:
        if rule.bare:
            yield set(rule.bare), Opening("bare", plan, rule)
        for head in rule.heads:
            first = head[0]
            assert isinstance(first, Literals)
            yield _firsts(first.texts), Opening("head", plan, rule)
    for region in read.regions:
        yield _firsts(region.open), Opening("region", plan, region=region)
    if read.drop:
        yield _firsts(read.drop), Opening("drop", plan)
    if read.orphans:
        yield _firsts(read.orphans), Opening("owed", plan)


def _firsts(literals: tuple[str, ...]) -> set[str]:
    return {each[0] for each in literals}
