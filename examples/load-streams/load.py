"""Keep many streams open for a while and say how they went; see the README. Standard library only."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import time
from dataclasses import dataclass, field
from urllib.parse import urlsplit

SLACK_S = 0.5
MEMORY_MB = 10


@dataclass
class Tally:
    """What all streams did."""

    streams: int = 0
    complete: int = 0
    failed: list[str] = field(default_factory=list)
    beats: int = 0
    late: int = 0
    worst_s: float = 0.0
    first_ms: list[float] = field(default_factory=list)


async def one(place: tuple[str, int, str], body: bytes, every_s: float, tally: Tally) -> None:
    """One streamed chat, read to its end."""
    host, port, path = place
    reader, writer = await asyncio.open_connection(host, port)
    head = f"POST {path} HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\nconnection: close\r\n"
    begun = time.monotonic()
    writer.write(f"{head}authorization: Bearer any\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body)
    last, finished, done, status = 0.0, False, False, b""
    async for line in reader:
        now = time.monotonic()
        status = status or line
        if line.startswith(b": heartbeat"):
            tally.beats += 1
            off = abs(now - last - every_s)
            tally.worst_s = max(tally.worst_s, off)
            tally.late += off > SLACK_S
        if line.startswith((b"data:", b":")):
            if not last:
                tally.first_ms.append((now - begun) * 1000)
            last = now
        finished = finished or b'"finish_reason":"stop"' in line
        done = done or line == b"data: [DONE]\n"
    writer.close()
    tally.streams += 1
    if finished and done:
        tally.complete += 1
    else:
        tally.failed.append(status.decode().strip())


async def keep_busy(count: int, seconds: float, place: tuple[str, int, str], body: bytes, every_s: float) -> Tally:
    """`count` clients, each with one stream after the other, until `seconds` are over."""
    tally, until = Tally(), time.monotonic() + seconds

    async def client(number: int) -> None:
        await asyncio.sleep(number * 0.005)  # not all in the same millisecond
        while True:
            await one(place, body, every_s, tally)
            if time.monotonic() >= until:
                return

    await asyncio.gather(*(client(number) for number in range(count)))
    return tally


def rss_mb(pid: int | None) -> float | None:
    """The resident memory of a process in MB, on Linux."""
    if pid is None:
        return None
    with open(f"/proc/{pid}/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", default="http://127.0.0.1:8000/v1/chat/completions")
    parser.add_argument("--count", type=int, default=200, help="streams at a time")
    parser.add_argument("--seconds", type=float, default=30, help="for how long new streams are opened")
    parser.add_argument("--every-s", type=float, default=3, help="the heartbeat that the gateway is set to")
    parser.add_argument("--text", default="mock:thinks", help="what the user says")
    parser.add_argument("--model", default="openai/gpt-4o-mini")
    parser.add_argument("--pid", type=int, help="the gateway's process, to look at its memory")
    given = parser.parse_args()
    parts = urlsplit(given.url)
    place = (parts.hostname or "127.0.0.1", parts.port or 80, parts.path)
    message = {"role": "user", "content": given.text}
    body = json.dumps({"model": given.model, "messages": [message], "stream": True}).encode()
    asyncio.run(keep_busy(given.count, 0, place, body, given.every_s))
    before = rss_mb(given.pid)
    tally = asyncio.run(keep_busy(given.count, given.seconds, place, body, given.every_s))
    time.sleep(1)
    after = rss_mb(given.pid)
    grown = None if before is None or after is None else round(after - before, 1)
    first = sorted(tally.first_ms) or [0.0]
    print(
        json.dumps(
            {
                "streams": tally.streams,
                "complete": tally.complete,
                "failed": tally.failed[:5],
                "heartbeats": tally.beats,
                "off_by_more_than_0.5_s": tally.late,
                "worst_s": round(tally.worst_s, 3),
                "first_ms_median": round(first[len(first) // 2]),
                "memory_grown_mb": grown,
            }
        )
    )
    good = tally.streams > 0 and tally.complete == tally.streams and not tally.late
    return 0 if good and (grown is None or grown < MEMORY_MB) else 1


if __name__ == "__main__":
    sys.exit(main())
