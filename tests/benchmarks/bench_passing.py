"""What passing through saves where client and endpoint speak one wire: `python tests/benchmarks/bench_passing.py`.

Prints microseconds for each pair of dialect and endpoint of one wire, translated and passed: one chat of 20 messages
from the client's bytes to the upstream's and back, and one frame of a stream. Reading and checking the client's body is
part of both. CPU time, the best of nine rounds.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import orjson

from engine.gateway.strict_json import parse_client_json
from engine.language.cases import target_for
from engine.language.catalog import Catalog, load_catalog
from engine.translate.chat import Chat, LiveAnswer, chat_exchange, stream_start
from engine.translate.client import read_client, write_reply
from engine.translate.lifecycle import Lifecycle
from engine.translate.losses import Losses
from engine.translate.passing import Passage
from engine.translate.plan import Codec, DialectPlan, EndpointPlan
from engine.translate.streaming import ClientStream
from engine.translate.wire import Context, HttpInput, UpstreamReply

MESSAGES = 20
FRAMES = 200
TEXT = "word " * 80
CODEC = Codec(orjson.loads, orjson.dumps)
CHAT = {"choices": [{"index": 0, "message": {"role": "assistant", "content": TEXT}, "finish_reason": "stop"}]}
BLOCKS = {
    "type": "message",
    "role": "assistant",
    "content": [{"type": "text", "text": TEXT}],
    "stop_reason": "end_turn",
}
LINE = {"message": {"role": "assistant", "content": TEXT}, "done": True, "done_reason": "stop", "eval_count": 9}
CHUNK = (
    b'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m",'
    b'"choices":[{"index":0,"delta":{"content":" word"},"finish_reason":null}]}\n\n'
)
DELTA = (
    b"event: content_block_delta\n"
    b'data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":" word"}}\n\n'
)
PIECE = (
    b'{"model":"m","created_at":"2026-01-01T00:00:00Z","message":{"role":"assistant","content":" word"},"done":false}\n'
)


@dataclass(frozen=True)
class Pair:
    """A dialect's operation and an endpoint of one wire, and what such an upstream says."""

    dialect: str
    operation: str
    endpoint: str
    reply: dict[str, Any]
    frame: bytes
    limit: dict[str, int] = field(default_factory=dict)


PAIRS = (
    Pair("openai.chat", "chat", "openai.chat", {"id": "c", "model": "m", **CHAT}, CHUNK),
    Pair(
        "anthropic.messages",
        "messages",
        "anthropic.messages",
        {"id": "m", "model": "m", **BLOCKS},
        DELTA,
        {"max_tokens": 99},
    ),
    Pair("ollama", "chat", "ollama.chat", {"model": "m", **LINE}, PIECE),
)


class Run:
    """One pair, ready to be measured. `asked` is the model's name for the client: the upstream's, or another."""

    def __init__(self, catalog: Catalog, pair: Pair, asked: str) -> None:
        self.dialect: DialectPlan = catalog.dialects[pair.dialect]
        self.operation = self.dialect.operations[pair.operation]
        self.endpoint: EndpointPlan = catalog.endpoints[pair.endpoint]
        self.target = target_for(self.endpoint, {})
        turns = [{"role": ("user", "assistant")[i % 2], "content": TEXT} for i in range(MESSAGES - 1)]
        self.body = {"model": asked, "messages": turns, "stream": False, **pair.limit}
        self.asked = asked
        self.pair = pair

    def _read(self, passes: bool, **fields: Any) -> tuple[dict[str, Any], Context, Losses]:
        raw = orjson.dumps({**self.body, **fields})
        losses = Losses()
        value = parse_client_json(raw)
        request = read_client(self.dialect, self.operation, value, HttpInput("POST", "/"), {}, losses)
        passage = None
        if passes:
            assert self.operation.stream is not None
            passage = Passage(raw, value, self.operation.stream.framing, tuple(losses.items))
        stream = bool(fields.get("stream"))
        return request, Context("req_0123456789abcdef01234567", 1, stream, self.operation.wire, passage), losses

    def whole(self, passes: bool) -> Callable[[], None]:
        """A whole chat."""
        reply = UpstreamReply(200, {}, orjson.dumps(self.pair.reply))
        model = {"id": self.asked, "name": "m", "meta": None}

        def run() -> None:
            request, context, losses = self._read(passes)
            exchange = chat_exchange(self.target, request, model, context, losses, CODEC)
            next(exchange)
            try:
                exchange.send(reply)
            except StopIteration as end:
                out = end.value
            scope = {"req": request, "in": {}, "out": out, "ctx": context.as_json(), "opt": {}}
            passed = context.passage.reply if context.passage is not None else None
            assert (passed is not None) is passes
            write_reply(self.dialect, self.operation, scope, CODEC, passed)

        return run

    def frames(self, passes: bool) -> Iterator[LiveAnswer]:
        """Live answers that have begun."""
        model = {"id": self.asked, "name": "m", "meta": None}
        while True:
            request, context, losses = self._read(passes, stream=True)
            chat = Chat(self.target, request, model, context, losses, CODEC)
            assert context.passage is None or context.passage.taken
            start = stream_start(request, context)
            life = Lifecycle(start)
            assert self.operation.stream is not None
            scope = {"req": request, "in": {}, "ctx": context.as_json(), "opt": {}}
            answer = chat.live(life, ClientStream(self.operation.stream, scope, life.out, CODEC))
            answer.feed(self.pair.frame)
            yield answer


def best_us(run: Callable[[], object], times: int) -> float:
    """Microseconds of one run: the best of nine rounds."""
    found = []
    for _ in range(9):
        begun = time.process_time()
        for _ in range(times):
            run()
        found.append((time.process_time() - begun) / times * 1e6)
    return min(found)


def main() -> None:
    """Measure and print."""
    catalog = load_catalog()
    print(f"{'':38}{'chat of 20':>22}{'frame':>20}")
    print(f"{'wire, model name':38}{'translated':>12}{'passed':>10}{'translated':>12}{'passed':>8}   µs")
    for pair in PAIRS:
        for asked in ("m", "alias"):
            made = Run(catalog, pair, asked)
            whole = [best_us(made.whole(passes), 100) for passes in (False, True)]
            frames = []
            for passes in (False, True):
                feed = partial(next(made.frames(passes)).feed, pair.frame)
                frames.append(best_us(feed, FRAMES))
            name = f"{pair.endpoint}, {'the same' if asked == 'm' else 'another'}"
            print(f"{name:38}{whole[0]:12.0f}{whole[1]:10.0f}{frames[0]:12.1f}{frames[1]:8.1f}")


if __name__ == "__main__":
    main()
