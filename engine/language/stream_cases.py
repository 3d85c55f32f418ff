"""Stream samples in inline tests: replayed whole, byte by byte and at 20 seeded random splits; all must agree."""

from __future__ import annotations

import base64
import itertools
import json
import random
from collections.abc import Iterator
from typing import Final

from engine.errors import ErrorInfo
from engine.translate.lifecycle import Lifecycle, replay
from engine.translate.losses import Losses
from engine.translate.plan import ClientStreamPlan, Codec, StreamPlan
from engine.translate.reply import with_fitted_calls
from engine.translate.streaming import ClientStream, Translation, UpstreamStream, words
from engine.translate.tools.answer import filters_of
from engine.translate.wire import Target
from engine.types import Json, JsonObject, Scope

RANDOM_SPLITS: Final = 20
START: Final[JsonObject] = {"id": "0123456789abcdef01234567", "model": "m", "created": 1_700_000_000}
_PREFIX: Final = "base64:"
_SHOWN: Final = ("text", "reasoning", "refusal", "tool_calls", "finish_reason", "stop_sequence", "logprobs")


def sample_bytes(text: str) -> bytes:
    """The bytes of a sample: its text, or what follows `base64:`. A final newline of YAML's block text is kept."""
    return base64.b64decode(text[len(_PREFIX) :]) if text.startswith(_PREFIX) else text.encode()


def splits(data: bytes, seed: str) -> Iterator[list[bytes]]:
    """The ways a sample is cut: whole, one byte at a time, 20 at random that are the same in every run."""
    yield [data]
    yield [data[at : at + 1] for at in range(len(data))]
    dice = random.Random(seed)  # not for secrets: the same cuts in every run
    for _ in range(RANDOM_SPLITS):
        cuts = sorted(dice.randrange(len(data) + 1) for _ in range(dice.randint(1, 6)))
        edges = [0, *cuts, len(data)]
        yield [data[a:b] for a, b in itertools.pairwise(edges)]


def collect(target: Target, plan: StreamPlan, scope: Scope, pieces: list[bytes], codec: Codec) -> JsonObject:
    """Run one cut of a sample to its end and give the canonical reply. Raises what the stream raises."""
    stream = UpstreamStream(target, plan, scope, codec)
    life = Lifecycle(START)
    answer = Translation(life, None, filters_of(target.plan.regions, None, Losses()))
    for piece in pieces:
        answer.take(stream.feed(piece))
    answer.take(stream.close())
    life.terminated = stream.ended
    if plan.insists and not stream.ended:
        life.forget_finish()
    answer.flush()
    answer.end()
    return shown(life.out)


def shown(out: JsonObject) -> JsonObject:
    """A collected reply as cases show it: what is there, without what the engine made up (ids, totals)."""
    made: JsonObject = {}
    for key, name in (("id", "upstream_id"), ("model", "upstream_model")):
        if out.get(name) is not None:
            made[key] = out[name]
    choices = [_choice(choice) for choice in out["choices"]]
    made.update(choices[0])
    if len(choices) > 1:
        made["choices"] = choices
    usage = out.get("usage")
    if usage is not None:
        made["usage"] = {
            key: value for key, value in usage.items() if value and key not in ("total_tokens", "estimated")
        }
    for key in ("cost", "meta"):
        if out.get(key) is not None:
            made[key] = out[key]
    return made


def _choice(choice: JsonObject) -> JsonObject:
    made = {key: choice[key] for key in _SHOWN if choice.get(key)}
    if any(block.get("state") is not None for block in choice["blocks"]):
        made["blocks"] = [_block(block) for block in choice["blocks"]]
    if "tool_calls" in made:
        made["tool_calls"] = [_call(call) for call in choice["tool_calls"]]
    return made


def _block(block: JsonObject) -> JsonObject:
    """Blocks are shown where one has a state: all else the short keys tell."""
    shown = {key: value for key, value in block.items() if key not in ("id", "index")}
    return {**shown, "call": _call(block["call"])} if "call" in block else shown


def _call(call: JsonObject) -> JsonObject:
    own = call["id"].startswith(f"call_{START['id']}")
    return {**({} if own else {"id": call["id"]}), "name": call["name"], "arguments": call["arguments"]}


def client_chunks(plan: ClientStreamPlan, scope: Scope, given: JsonObject, codec: Codec) -> str:
    """What a client gets for canonical `pieces`, for a whole `out` that is replayed, or for an `err` after a start."""
    life = Lifecycle(START, serial=plan.serial)
    answer = Translation(life, ClientStream(plan, scope, life.out, codec))
    data = answer.open()
    if "out" in given:
        data += answer.take(replay(_replayed(given["out"]), lambda text: words(text, 8)))
    data += answer.take(with_fitted_calls(piece, "pieces", codec) for piece in given.get("pieces") or ())
    if "heartbeat" in given:
        data += answer.heartbeat(given["heartbeat"])
    data += answer.fail(ErrorInfo(**{"message": "", **given["err"]})) if "err" in given else answer.end()
    return data.decode()


def _replayed(out: JsonObject) -> JsonObject:
    choice: JsonObject = {"index": 0, "text": None, "reasoning": None, "tool_calls": [], "finish_reason": "stop"}
    choices = [{**choice, **each} for each in out.get("choices") or [out]]
    return {"usage": None, **out, "choices": choices}


def events_of(chunks: str) -> list[Json]:
    """Client chunks as data, for comparing by meaning: each SSE event or NDJSON line decoded where it is JSON."""
    found: list[Json] = []
    for block in chunks.split("\n\n" if "data: " in chunks else "\n"):
        lines = [line for line in block.split("\n") if line]
        data = "\n".join(line[6:] for line in lines if line.startswith("data: ")) if "data: " in block else block
        if data:
            found.append(_decoded(data))
    return found


def _decoded(text: str) -> Json:
    try:
        return json.loads(text)
    except ValueError:
        return text
