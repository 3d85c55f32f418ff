"""What translating one chat costs, without JSON text and without I/O: `python tests/benchmarks/bench_translation.py`.

Prints microseconds for each shipped endpoint behind the OpenAI chat dialect: reading the client's body, fitting and
building the upstream request, reading the upstream's reply, writing the client's answer. Best of nine rounds on one
core. An endpoint is given the first of REPLIES that its `response:` reads.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable

from engine.errors import EngineError
from engine.language.cases import target_for
from engine.language.catalog import Catalog, load_catalog
from engine.translate.client import read_client
from engine.translate.exchange import read_reply, request_scope
from engine.translate.losses import Losses
from engine.translate.plan import Codec
from engine.translate.prepare import prepare
from engine.translate.reply import build_reply
from engine.translate.wire import Context, HttpInput, UpstreamReply

MESSAGES = 20
DIALECT = "openai.chat"
BUDGET_US = 150
"""For one of the Straico endpoints: request and reply together, JSON apart."""
TEXT = "word " * 100
REPLIES: tuple[dict[str, object], ...] = (
    {
        "id": "gen-1",
        "model": "m",
        "created": 1,
        "choices": [{"index": 0, "message": {"role": "assistant", "content": TEXT}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 900, "completion_tokens": 120, "total_tokens": 1020},
        "price": {"input": 0.1, "output": 0.2, "total": 0.3},
        "words": {"input": 600, "output": 100, "total": 700},
    },
    {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": [{"type": "text", "text": TEXT}],
        "stop_reason": "end_turn",
        "usage": {"input_tokens": 900, "output_tokens": 120},
    },
    {
        "candidates": [{"index": 0, "content": {"role": "model", "parts": [{"text": TEXT}]}, "finishReason": "STOP"}],
        "usageMetadata": {"promptTokenCount": 900, "candidatesTokenCount": 120, "totalTokenCount": 1020},
    },
    {
        "model": "m",
        "message": {"role": "assistant", "content": TEXT},
        "done": True,
        "done_reason": "stop",
        "prompt_eval_count": 900,
        "eval_count": 120,
    },
    {
        "id": "c-1",
        "message": {"role": "assistant", "content": [{"type": "text", "text": TEXT}]},
        "finish_reason": "COMPLETE",
        "usage": {"tokens": {"input_tokens": 900, "output_tokens": 120}},
    },
)


def conversation() -> dict[str, object]:
    """A chat of 20 messages, 8 KB, every other user turn as an array of parts."""
    messages: list[dict[str, object]] = [{"role": "system", "content": "Be brief."}]
    for turn in range(1, MESSAGES):
        text = f"turn {turn}: " + "lorem ipsum dolor sit amet " * 15
        role = "user" if turn % 2 else "assistant"
        content = [{"type": "text", "text": text}] if turn % 4 == 1 else text
        messages.append({"role": role, "content": content})
    return {"model": "openai/gpt-4o-mini", "messages": messages, "temperature": 0.5, "max_tokens": 200}


def best_us(run: Callable[[], object], rounds: int = 9, repeat: int = 200) -> float:
    """The best mean of several rounds, in microseconds."""
    found = []
    for _ in range(rounds):
        start = time.thread_time()  # what this thread used: other work on the machine does not count
        for _ in range(repeat):
            run()
        found.append((time.thread_time() - start) / repeat * 1e6)
    return min(found)


def measure(catalog: Catalog, endpoint: str, decoded: dict[str, object]) -> dict[str, float]:
    """Microseconds of each step for one endpoint; JSON text is replaced by ready values."""
    plan, dialect = catalog.endpoints[endpoint], catalog.dialects[DIALECT]
    operation = next(each for each in dialect.operations.values() if each.kind == "chat")
    client, http, context = conversation(), HttpInput("POST", "/"), Context("req_0123456789abcdef", 1_700_000_000)
    codec = Codec(loads=lambda data: decoded, dumps=lambda value: b"{}")
    target, model = target_for(plan, {}), {"id": client["model"], "name": client["model"], "meta": None}
    reply = UpstreamReply(200, {}, b"{}")
    canonical = read_client(dialect, operation, client, http, {}, Losses())
    scope = request_scope(target, prepare(plan, canonical, str(client["model"]), Losses()), model, context)

    def build() -> object:
        prepared = prepare(plan, canonical, str(client["model"]), Losses())
        return plan.call.body(request_scope(target, prepared, model, context)) if plan.call.body else None

    def receive() -> object:
        emitted = read_reply(target, plan.response, scope, reply, codec)
        return build_reply(emitted, endpoint=plan.id, model="m", context=context, losses=Losses(), codec=codec)

    out = receive()
    answer = {"req": canonical, "in": {}, "out": out, "ctx": context.as_json(), "opt": {}}
    return {
        "client request": best_us(lambda: read_client(dialect, operation, client, http, {}, Losses())),
        "upstream request": best_us(build),
        "upstream reply": best_us(receive),
        "client reply": best_us(lambda: operation.response.body(answer)),
    }


def first_read(catalog: Catalog, endpoint: str) -> dict[str, float]:
    """The measures with the first reply that the endpoint reads; RuntimeError when it reads none."""
    for reply in REPLIES:
        try:
            return measure(catalog, endpoint, reply)
        except EngineError:
            continue
    raise RuntimeError(f"{endpoint} reads none of the replies of this benchmark: add one in its shape")


def main() -> None:
    """Print the table."""
    catalog = load_catalog()
    size = len(json.dumps(conversation()))
    print(f"{MESSAGES} messages, {size} bytes; budget {BUDGET_US} us")
    for endpoint in catalog.endpoints:
        steps = first_read(catalog, endpoint)
        parts = "  ".join(f"{name} {value:6.1f}" for name, value in steps.items())
        print(f"{endpoint:24} {parts}  = {sum(steps.values()):6.1f} us")


if __name__ == "__main__":
    main()
