"""A whole conversation as one text: how a sample's prompt labels its turns, and the template that writes it so."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from engine.types import JsonObject

_LABEL: Final = re.compile(r"^([A-Z][A-Za-z]{1,20}):(?:[ \t]|$)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Transcript:
    """The labels of the two speakers, whether an empty line is between turns, and the turns that were read."""

    user: str = ""
    assistant: str = "ASSISTANT"
    spaced: bool = False
    turns: list[JsonObject] = field(default_factory=list)


def read_transcript(text: str) -> Transcript:
    """The layout of a prompt that begins with a label and ends with an open one; else that of no one."""
    found = list(_LABEL.finditer(text))
    labels = [each[1] for each in found]
    opened = len(found) > 1 and not text[found[-1].end() :].strip() and labels[-1] != labels[0]
    if not opened or found[0].start() != 0 or len(set(labels)) != 2:
        return Transcript()
    ends = [each.start() for each in found[1:]]
    turns: list[JsonObject] = [
        {"role": "assistant" if label == labels[-1] else "user", "content": text[each.end() : end].strip()}
        for label, each, end in zip(labels, found, ends, strict=False)
    ]
    return Transcript(labels[0], labels[-1], text[: found[-1].start()].endswith("\n\n"), turns)


def template_of(layout: Transcript, *, with_system: bool) -> str:
    """The template; system messages are left out of it where they go elsewhere."""
    said = "{{ m.content | text }}\n" + ("\n" if layout.spaced else "")
    if layout.user:
        system = "SYSTEM" if layout.user.isupper() else "System"
        also = f"{{% elif m.role == 'system' %}}{system}" if with_system else ""
        who = f"{{% if m.role == 'assistant' %}}{layout.assistant}{also}{{% else %}}{layout.user}{{% endif %}}"
    else:
        who = "{{ m.role | upper }}"
    turn = f"{who}: {said}"
    if not with_system:
        turn = f"{{% if m.role != 'system' and m.role != 'developer' %}}\n{turn}{{% endif %}}\n"
    return f"{{% for m in req.messages %}}\n{turn}{{% endfor %}}\n{layout.assistant}:\n"
