"""What streaming costs: `python tests/benchmarks/bench_streaming.py`.

Prints the microseconds of one relayed chunk (frame, JSON, the endpoint's rules, lifecycle, the dialect's rules, JSON)
with nothing of the network, and how much later the first chunk of a native stream comes through the gateway than
through a bare pass-through, one request of each in turn. Target: 15 µs a chunk, 2 ms at the median.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator

import aiohttp
import orjson
import uvicorn

from engine.language.cases import target_for
from engine.language.catalog import load_catalog
from engine.language.writing import warm
from engine.server.run import bind, json_codec
from engine.translate.exchange import request_scope
from engine.translate.lifecycle import Lifecycle
from engine.translate.streaming import ClientStream, Translation, UpstreamStream
from engine.translate.wire import Context

ENDPOINTS = ("straico.chat.v0", "openai.chat")
DIALECT = "openai.chat"
CHUNKS = 100
ROUNDS = 400
"""Short rounds, many of them: the best is one that nothing else on the machine disturbed."""
REPETITIONS = 200
TEXT = re.compile(rb'"content":"[^"]')
START = {"id": "0123456789abcdef01234567", "model": "m", "created": 1_700_000_000}


def chunk(number: int) -> bytes:
    """One chunk as OpenAI writes it, 240 bytes."""
    data = {
        "id": "chatcmpl-abcdefghijklmnop",
        "object": "chat.completion.chunk",
        "created": 1_700_000_000,
        "model": "gpt-4o-mini-2024-07-18",
        "service_tier": "default",
        "system_fingerprint": "fp_0123456789",
        "choices": [{"index": 0, "delta": {"content": f" word{number}"}, "logprobs": None, "finish_reason": None}],
    }
    return b"data: " + orjson.dumps(data) + b"\n\n"


def cost_us(endpoint: str) -> float:
    """The best mean cost of a chunk, in microseconds."""
    catalog, codec = load_catalog(), json_codec()
    plan = catalog.endpoints[endpoint]
    client = catalog.dialects[DIALECT].operations["chat"].stream
    assert plan.stream is not None
    assert client is not None
    warm((plan, client))  # as `engine serve` does before the first request
    context, request = Context("req_0123456789abcdef", 1_700_000_000, True), {"model": "m", "messages": []}
    target = target_for(plan, {})
    scope = request_scope(target, request, {"id": "m", "name": "m", "meta": None}, context)
    answer = {"req": {**request, "stream": True}, "in": {}, "ctx": context.as_json(), "opt": {}}
    chunks = [chunk(number) for number in range(CHUNKS)]
    found = []
    for _ in range(ROUNDS):
        stream = UpstreamStream(target, plan.stream, scope, codec)
        life = Lifecycle(START, keeps_text=client.keeps_text)
        translation = Translation(life, ClientStream(client, answer, life.out, codec))
        begun = time.thread_time()  # what this thread used: other work on the machine does not count
        for data in chunks:
            translation.take(stream.feed(data))
        found.append((time.thread_time() - begun) / CHUNKS * 1e6)
    return min(found)


def pass_through(upstream: str) -> None:
    """Serve a pass-through on the gateway's own HTTP stack (uvicorn, aiohttp) that translates nothing."""

    async def app(scope, receive, send) -> None:  # type: ignore[no-untyped-def]
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message["body"], message.get("more_body", False)
        if not hasattr(app, "session"):
            app.session = aiohttp.ClientSession()  # type: ignore[attr-defined]
        headers = {"content-type": "application/json", "authorization": "Bearer k"}
        async with app.session.post(upstream, data=body, headers=headers) as answer:  # type: ignore[attr-defined]
            fields = [(b"content-type", b"text/event-stream")]
            await send({"type": "http.response.start", "status": answer.status, "headers": fields})
            async for data in answer.content.iter_any():
                await send({"type": "http.response.body", "body": data, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    listener = bind("127.0.0.1", 0)
    sys.stdout.write(f"http://127.0.0.1:{listener.getsockname()[1]}\n")
    sys.stdout.flush()
    config = uvicorn.Config(app, log_config=None, access_log=False, lifespan="off", http="httptools", loop="uvloop")
    uvicorn.Server(config).run(sockets=[listener])


@contextlib.contextmanager
def program(*arguments: str) -> Iterator[str]:
    """A program that serves until the block ends; gives the address it prints first."""
    environment = {**os.environ, "STRAICO_API_KEY": "k", "PYTHONUNBUFFERED": "1"}
    started = subprocess.Popen(
        [sys.executable, *arguments], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        assert started.stdout is not None
        found = None
        while found is None:
            line = started.stdout.readline()
            assert line, f"{arguments} ended"
            found = re.search(r"http://[0-9.]+:[0-9]+\S*", line)
        yield found[0]
    finally:
        started.terminate()
        started.wait(10)


async def first_ms(session: aiohttp.ClientSession, url: str) -> float:
    """The milliseconds until the first text of a streamed chat (the gateway holds back what says nothing yet)."""
    body = orjson.dumps(
        {
            "model": "openai/gpt-4o-mini",
            "messages": [{"role": "user", "content": [{"type": "text", "text": "Say this is a mock answer."}]}],
            "stream": True,
        }
    )
    begun = time.perf_counter()
    async with session.post(url, data=body, headers={"content-type": "application/json"}) as answer:
        seen = b""
        while not TEXT.search(seen):
            seen += await answer.content.readany()
        found = (time.perf_counter() - begun) * 1000
        await answer.read()
    assert answer.status == 200
    return found


async def latencies(passed: str, gateway: str) -> tuple[list[float], list[float]]:
    """First-chunk latencies of the bare pass-through and of the gateway, in turn."""
    plain: list[float] = []
    ours: list[float] = []
    async with aiohttp.ClientSession() as session:
        for repetition in range(REPETITIONS + 20):
            a, b = await first_ms(session, passed), await first_ms(session, gateway)
            if repetition >= 20:  # the first ones open connections
                plain.append(a)
                ours.append(b)
    return plain, ours


def measure_latency() -> tuple[list[float], list[float]]:
    """First-chunk latencies in milliseconds: bare, and through the gateway; each program is a process of its own."""
    mock = ("-m", "engine", "mock", "--endpoint", ENDPOINTS[0], "--option", "streaming=true", "--option", "every_ms=2")
    with (
        program(*mock) as upstream,
        program(__file__, "--bare", f"{upstream}/v0/chat/completions") as passed,
        program("-m", "engine", "serve", "--endpoint", ENDPOINTS[0], "--option", f"base_url={upstream}", "--port", "0",
                "--log-level", "error") as gateway,
    ):  # fmt: skip
        time.sleep(1)
        return asyncio.run(latencies(passed, f"{gateway}/v1/chat/completions"))


def main() -> None:
    """Print both figures."""
    for endpoint in ENDPOINTS:
        print(f"{endpoint:16} -> {DIALECT}: {cost_us(endpoint):5.1f} us a relayed chunk (target < 15)")
    plain, ours = (sorted(found) for found in measure_latency())
    added = statistics.median(ours) - statistics.median(plain)
    print(
        f"first chunk, {REPETITIONS} of each in turn, median: bare {statistics.median(plain):.2f} ms, "
        f"gateway {statistics.median(ours):.2f} ms, added {added:.2f} ms (target < 2)"
    )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--bare"]:
        pass_through(sys.argv[2])
    else:
        main()
