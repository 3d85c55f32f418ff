"""The structure of `overlay/1`: a user's changes to a mapping that is not theirs (LANGUAGE 3.6, DECISIONS 2.1).

What may be changed is what the target has, so the sections are open here; the merge checks them against the target.
"""

from __future__ import annotations

from typing import Final

from engine.language.documents import ID_PATTERN
from engine.language.kinds.dialect_shape import DIALECT
from engine.language.kinds.endpoint_shape import ENDPOINT
from engine.language.shapes import Anything, Field, Object, Text

_SECTIONS: Final = {key for kind in (ENDPOINT, DIALECT) for key in kind.fields} - {
    "mapping",
    "id",
    "title",
    "doc",
    "extends",
}

OVERLAY: Final = Object(
    {
        "mapping": Field(
            Text(choices=("overlay/1",)), "The kind of file and the language version; the first key.", required=True
        ),
        "target": Field(
            Text(rf"(?:endpoint|dialect|toolformat|mock):{ID_PATTERN}", "kind:ID"),
            "The mapping that is changed: its kind and id.",
            required=True,
            example="endpoint:acme.chat",
        ),
        "title": Field(Text(), "What it is, in a few words."),
        "doc": Field(Text(), "Why the mapping is changed."),
        "$add": Field(Anything("a mapping of new sections"), "New keys; may stand in any section too."),
        **{
            key: Field(
                Anything(),
                f"Changes to the section `{key}`: keys with new values, `$remove`, `$replace`, `$add`.",
            )
            for key in sorted(_SECTIONS)
        },
    },
    "an overlay",
    "Changes to another mapping, made without copying it. Every key must exist there; new ones go inside `$add`.",
)
"""The shape of the whole file."""
