"""What passes through in a case: the client's body on its way up, and the answer on its way back (`edits`).

`given.body` is the body as text. What comes of it is `sent`, or with a reply or a stream `passed`; null says that the
request does not pass and goes the normal way.
"""

from __future__ import annotations

import json

from engine.language.stream_cases import START, sample_bytes, splits
from engine.translate.chat import LiveAnswer
from engine.translate.exchange import reply_scope
from engine.translate.lifecycle import Lifecycle
from engine.translate.losses import Losses
from engine.translate.passing import Passage, PassedFrames
from engine.translate.plan import Codec
from engine.translate.streaming import Translation, UpstreamStream
from engine.translate.wire import Target, UpstreamReply
from engine.types import Json, JsonObject, Scope


def pass_through(
    target: Target, given: JsonObject, reply: UpstreamReply | None, scope: Scope, losses: Losses, codec: Codec
) -> JsonObject:
    """`sent` or `passed` of a case. Raises what an upstream's failure raises."""
    stream = target.plan.stream
    passage = Passage(given["body"].encode(), json.loads(given["body"]), stream.framing if stream is not None else None)
    passage.decide(target, given["request"], scope, losses, given.get("wire", target.plan.wire))
    part = "passed" if "stream" in given or reply is not None else "sent"
    if not passage.taken:
        return {part: None}
    if "stream" in given:
        return {part: _streamed(target, sample_bytes(str(given["stream"])), scope, codec)}
    if reply is not None:
        passage.take(target, reply, reply_scope(target, scope, reply, codec), codec)
        return {part: (passage.reply or b"").decode()}
    return {part: (passage.request(target, scope, codec).body or b"").decode()}


def _streamed(target: Target, data: bytes, scope: Scope, codec: Codec) -> Json:
    """What the client gets of a sample; where two splits of it differ, both."""
    made = [_passed(target, cut, scope, codec) for cut in splits(data, target.plan.id)]
    odd = next((each for each in made if each != made[0]), None)
    return made[0] if odd is None else {"whole": made[0], "differs": odd}


def _passed(target: Target, pieces: list[bytes], scope: Scope, codec: Codec) -> str:
    plan = target.plan.stream
    assert plan is not None
    life = Lifecycle(START)
    frames = PassedFrames(target, life, lambda: b"", scope, codec)
    upstream = UpstreamStream(target, plan, scope, codec)
    answer = LiveAnswer(upstream, Translation(life, None), insists=plan.insists, passed=frames)
    return b"".join([*(answer.feed(piece) for piece in pieces), answer.flush(), answer.close()]).decode()
