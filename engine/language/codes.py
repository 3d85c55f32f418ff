"""The registry of every diagnostic code: what it means and how to mend it.

Numbers are unique whatever the letter (DECISIONS 2.17) and are never reused after a release. The letter is the
severity: `E` error, `W` warning, `R` an error at run time. `Problems.add` refuses a code that is not here.

Where LANGUAGE gives a number twice, the warning moved: its W104 is W111, W131 is W112, W136 is W137.

To add a code, write two or more lines into one of the tables below: the code and a title without a full stop,
then, indented, one paragraph that says what it means and how to mend it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class CodeInfo:
    """One code: `title` is a short sentence without a full stop, `doc` one paragraph: meaning, then remedy."""

    title: str
    doc: str


_READING = """
E001 the file cannot be read as one YAML document
    A file must be a regular file, UTF-8, one document, at most 1 MiB and 40 levels deep, with few aliases. Split
    it, or save it as UTF-8.
E002 the file is not valid YAML
    The text breaks YAML's own grammar at this place; what follows was not read. The help names the usual cause.
E010 duplicate key
    The same key stands twice in one mapping; YAML readers silently keep the last. Remove or rename one of them.
W011 YAML tools disagree about this scalar
    Written without quotes, YAML 1.1 tools read it as another type than this engine. Quote it if text is meant;
    write true, false, null or a plain decimal number otherwise.
E012 YAML feature that mappings do not use
    Custom tags, the merge key `<<` and keys that are not text are refused. Write the value out, use `extends` or
    `define` to share, and quote the key.
E013 characters that do not belong in a mapping
    Merge-conflict markers, tabs in the indentation, a byte-order mark, invisible control and direction characters.
    Remove them, or write them as an escape in double quotes.
E014 number out of range
    The number is infinite as a float or has more than 100 digits. Quote it if text is meant.
E020 first key must be `mapping: kind/N`
    The first line says what the file is and which language version it speaks, such as `mapping: endpoint/1`. For an
    older version run `engine upgrade`.
E021 bad or repeated id
    An id is lower-case words joined by dots or underscores, unique among the files of its kind. Choose another.
E022 unknown section or key
    The key is not part of the language at this place. Correct the spelling; the help lists what is known here.
E023 wrong type of value
    The structure of the language asks for another type here. The message says what is allowed.
E024 required key is missing
    A key that this section cannot do without is not there. Add it.
E030 `extends` cannot be resolved
    The parent does not exist, is of another kind, or the chain leads back to itself. Name an existing parent of the
    same kind.
E031 change that hits nothing
    `$remove` and the keys of an overlay must exist in the parent or target, and `$replace`, `$remove`, `$add` make
    sense only in a file that has one. Correct the path, or put new keys into `$add`.
E032 overlay does not fit its target
    The target of the overlay is missing or is not what the overlay was written for. Name it as kind:ID.
E033 plain map over an operator
    The parent has an operator node here and the child a plain map, which would mix the two. Write the map under
    `$replace`.
E034 file reference cannot be resolved
    A template file is looked up in `templates/` beside the mapping and then among the shipped ones, and nowhere
    else. Correct the name.
"""

_EXPRESSIONS = """
E101 expression does not parse
    What follows `=` must be one JMESPath expression. Names with `-` need double quotes, strings single quotes,
    literals backticks.
E102 name is not in scope
    A path starts with a name that this slot offers; the notes list them. Inside a fragment only its `args`, `opt`
    and `ctx` exist.
E103 function is wrong
    The function does not exist, or its number or types of arguments do not fit. The help shows the signature.
E104 condition is not boolean
    A condition must be a comparison, `!`, `&&` or `||` of booleans, a boolean function or a boolean field. Write
    `present(x)` for `was given`.
E105 comparison that is never equal
    The two sides have types that can never be equal, such as a number and a string. Compare with a literal of the
    same type.
E106 path that the canonical form does not have
    The request or reply has no such field. Correct the spelling, or read it from `req.extra` if it is a provider's
    own.
E107 result does not fit the slot
    The expression yields another type than this place takes. Convert it with a function, or choose another path.
E108 root name inside a filter
    Inside `[?...]` names are looked up in the item, so a root name silently gives nothing. Use `$each ... where`,
    or `find(list, key, value)`.
E109 function is reserved for `auth`
    Hashing, signing and clock functions exist inside `auth` only, where secrets are. Move the value there.
E110 expression never has a value
    The expression is null whatever the data is, so the leaf can never appear. Correct it, or use `$omit: true`.
W111 index inside a projection
    After `[*]` an index applies to each item, so `n[*].x[0]` is mostly empty. Write `n[*].x | [0]` for the first of
    all.
W112 object built inside an expression
    Objects are built in YAML, where every key has a position and absent members are left out. Write the keys as a
    YAML map.
W113 line break that is none
    Text in single quotes has no escapes, so `\\n` there is a backslash and an n. Write the text as JSON in backticks:
    `"\\n"`.
E120 template markers in literal text
    Text with `{{` or `{%` is not rendered. Wrap it in `$template`, or in `$literal` if it is meant as it stands.
E121 `$template` is not allowed here
    Templates make text for people and models. In paths, queries, headers, auth, keys and conditions use an
    expression.
W122 this looks like a forgotten `=`
    The literal text is spelled like a path in scope. Put `=` before it if the value is meant.
E130 more than one operator in a node
    A mapping holds one `$operator` and its arguments. Nest the second inside an argument.
E131 unknown operator
    No operator has this name. The help names the nearest; `$literal` keeps a real key that starts with `$`.
E132 operator arguments are wrong
    An argument is unknown, or a required one is missing. The help lists the arguments of this operator.
E133 operator value has the wrong shape
    The operator takes a list, a map, an expression or `true` here. The message says which.
E134 unreachable `$first` entry
    An entry before it can never be absent. Reorder the entries, or remove it.
E135 `$switch` does not cover its values
    The expression has a known set of values; a case is missing or unknown. Add it, or a `default`.
E136 name shadows another
    The name of `as`, `index` or `$let` exists already in this scope. Choose another.
W137 name is never used
    A name of `as`, `index`, `$let` or `args` is read nowhere. Remove it.
W138 key written twice by `$merge`
    Two entries of a `$merge` write the same literal key, so the first is lost. Remove one.
E140 template does not parse
    The text is not a Jinja template. The message gives Jinja's reason and the line.
E141 template name is not in scope
    The template reads a name that this slot does not offer. The help lists what is known here.
E142 filter or test is not on the list
    Templates have a short list of filters and tests, all without side effects and of bounded cost. Use one of
    those, or compute the value in `$let`.
E143 construct is not allowed in a template
    Calls, includes, macros, attributes of objects, `*`, `**`, `%` and the like are refused, since a mapping must be
    safe to load. Compute the value with an expression instead.
E144 loops are nested too deep
    Loops may be three deep in a template. Prepare the data with `$each` and `$let`.
E150 unknown fragment
    `$use` names a fragment that `define` does not have. Correct the name.
E151 fragment arguments do not match
    `with` must give exactly the `args` of the fragment. Add or remove arguments.
E152 fragments use each other in a circle
    A fragment reaches itself through `$use`. Write one of them out.
W153 fragment is never used
    No `$use` names this fragment. Remove it.
"""

_SECTIONS = """
E160 path placeholders do not match `path_params`
    Each `{name}` of a path needs a key in `path_params` and the reverse. Make the two sets equal.
E161 header is not allowed
    The header name is invalid, belongs to the connection, or carries credentials, which only `auth` may set.
E162 base URL is not safe
    A base URL is https, or loopback, or declared `insecure: true`, and never computed from request data.
E170 secret outside `auth`
    Secrets exist only inside `auth`, and come from the environment, a file or the client, never from the mapping's
    text.
W171 secret is never used
    A declared secret is read nowhere in `auth`. Remove it.
E172 this looks like a key
    The text has the form of a credential. Move it to the environment or a file, name it under `secrets`, and
    replace the key, since it is in the file's history.
E180 parameter limits do not match the body
    `params` sets limits for a parameter that the body does not read. Read it, or remove the entry.
E181 declared tools are not served
    `tools: native` needs `req.tools` read in the request and calls produced in the response and the stream; `tools:
    prompt` needs a toolformat.
E182 declared streaming is not served
    `streaming: native` needs a `stream` section, and `ctx.stream` must influence the request. Add them, or declare
    `synthetic`.
E183 declared images are not served
    Images are declared without a branch that sends them, or the reverse. Make the two agree.
E190 stream section is inconsistent
    `decode` must fit `framing`, case values must be unique and an end must be reachable. The message says which.
E191 emit is not in the vocabulary
    An emit or reply has a key outside the canonical vocabulary, a `tool_call` without `key`, or both piece and
    total.
E192 stream state is inconsistent
    Declared state must be read, and set with the type of its first value. Correct the type, or remove it.
E193 events are not handled
    A dialect stream handles text, tool calls, end and error, or says explicitly that it ignores them; other names
    are unknown.
E200 error rule is wrong
    A rule behind an unconditional one is never reached, its `type` is not in the closed list, or it raises nothing.
E201 no rule for failed replies
    Some upstream failures match no rule. Add a last rule for `[4xx, 5xx]`.
W202 status that no client gets
    When the upstream refuses the gateway's own key, clients get 502 `upstream_auth`, whatever `status` a rule of the
    type authentication or permission says; callers whose own key it was get 401 or 403. Leave `status` out.
E210 token exchange is wrong
    A token needs `value` and `expires`, a boolean `refresh_when`, and no secret in a query unless allowed.
E220 steps are wrong
    Step names are unique, `until` has `every_s` and `for_s`, `again_when` has an `until`, and a step reads earlier
    steps only.
E221 edits that can never be used
    Edits are for bodies that pass as they are between a client and an endpoint of the same wire: the endpoint names
    its `wire`, makes one call, sends JSON, and has its credentials outside the body. Remove them, or what stands in
    their way.
E230 regular expression is wrong
    The pattern does not compile on the linear-time engine. Look-behind and back references do not exist there.
E240 toolformat is wrong
    A region, section or rule of the toolformat is inconsistent. The message says which.
E250 gateway config is wrong
    A route, upstream, client or limit of the gateway is inconsistent. The message says which.
"""

_TESTS = """
E300 inline test failed
    A test of the mapping gives another result than it expects, perhaps only for one way of cutting the stream. The
    notes show the difference.
W301 branch that no test takes
    Nothing proves that this branch works. Add a case for it.
W401 declared capability without a test
    The mapping declares a capability that none of its tests exercises. Add a case.
W402 deprecated construct
    The construct still works and will not for ever. The help gives the exact replacement; `engine upgrade` writes
    it.
W403 `||` where absence is meant
    `x || literal` also replaces false, 0, an empty text and an empty list. Use `not_null(x, literal)` or `$first`.
W404 a draft's CHECK is still here
    `engine new` marks what it guessed with the word CHECK in a comment. Look at it, mend it, and remove the comment.
R001 required value is missing at run time
    The data had no value at this path; its shape is in the notes, its values are hidden. Replay the request with
    `--explain`.
R002 expression failed at run time
    A function met a type that it does not take. Replay the request with `--explain`.
R003 template failed at run time
    A name in the template had no value, or its output was too large. Replay the request with `--explain`.
R004 no case for a value at run time
    A `$switch` without `default` met a value that it has no case for. Add the case, or a `default`.
"""


def _table(text: str) -> dict[str, CodeInfo]:
    found: dict[str, CodeInfo] = {}
    for line in filter(None, text.split("\n")):
        if line.startswith(" "):
            code, info = next(reversed(found.items()))
            found[code] = CodeInfo(info.title, f"{info.doc} {line.strip()}".strip())
            continue
        code, _, title = line.partition(" ")
        if code in found:
            raise ValueError(f"code {code} is written twice")
        found[code] = CodeInfo(title, "")
    return found


CODES: Final[Mapping[str, CodeInfo]] = _table(_READING + _EXPRESSIONS + _SECTIONS + _TESTS)
"""Every code that a diagnostic may carry."""
