"""What a streamed answer of the mock is on the wire: a list of steps, made before the first byte goes out. No I/O.

A step is bytes to send, a number of seconds to wait, or `RESET` or `HANG`; after the last one the answer ends in good
order. The faults are those of `STREAM_FAULTS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import orjson

from engine.types import Json

RESET: Final = "reset"
HANG: Final = "hang"
Step = bytes | float | str

HTML_PAGE: Final = (
    b"<!DOCTYPE html><html><head><title>502 Bad Gateway</title></head><body>nginx at 10.0.0.7</body></html>"
)
PADDING: Final = "x" * 100_000
DRIP_S: Final = 0.02
DEFAULT_ERROR: Final[Json] = {"error": {"message": "The provider is down", "type": "server_error", "code": None}}
_FRAME_KEYS: Final = frozenset({"event", "data", "id"})


class Streamed:
    """The frames of one answer, each as bytes, and how they are sent."""

    def __init__(self, framing: str, frames: Sequence[Json], done: str | None, error: Json, every_s: float) -> None:
        self._write = WRITERS[framing]
        self._values = list(frames)
        self.frames = [self._write(frame) for frame in frames]
        self.end = [self._write(done)] if done is not None else []
        self.error = self._write(error)
        self.every_s = every_s

    @property
    def half(self) -> list[bytes]:
        """The first half of the frames, at least one where there is one."""
        return self.frames[: max(1, len(self.frames) // 2)]

    def padded(self) -> list[bytes]:
        """The frames, the first object with a field of 100,000 characters more."""
        at = next((index for index, value in enumerate(self._values) if isinstance(value, dict)), None)
        if at is None:
            return self.frames
        return [*self.frames[:at], self._write({**self._values[at], "padding": PADDING}), *self.frames[at + 1 :]]

    def paced(self, pieces: Sequence[bytes]) -> list[Step]:
        """The pieces with the pause before each."""
        return [step for piece in pieces for step in ((self.every_s, piece) if self.every_s else (piece,))]


def steps(streamed: Streamed, fault: str | None) -> list[Step]:
    """What is done, in order, for an answer with this fault or none."""
    return _STEPS[fault](streamed) if fault is not None else streamed.paced([*streamed.frames, *streamed.end])


def _whole(made: Streamed) -> bytes:
    return b"".join([*made.frames, *made.end])


def _single(data: bytes) -> list[bytes]:
    return [data[at : at + 1] for at in range(len(data))]


_STEPS: Final[Mapping[str, Callable[[Streamed], list[Step]]]] = {
    "reset_mid": lambda made: [*made.paced(made.half), 0.05, RESET],
    "half_frame": lambda made: [*made.paced(made.half), made.frames[-1][: len(made.frames[-1]) // 2]],
    "html_page": lambda made: [HTML_PAGE],
    "error_event": lambda made: made.paced([*made.half, made.error]),
    "silence": lambda made: [*made.paced(made.half), HANG],
    "no_terminator": lambda made: made.paced(made.frames),
    "no_terminator_no_finish": lambda made: made.paced(made.half),
    "after_done": lambda made: made.paced([*made.frames, *made.end, *made.frames[:1], *made.end]),
    "big_event": lambda made: made.paced([*made.padded(), *made.end]),
    "crlf": lambda made: made.paced([each.replace(b"\n", b"\r\n") for each in (*made.frames, *made.end)]),
    "bom_comments": lambda made: [
        b"\xef\xbb\xbf",
        *made.paced([b": PROCESSING\n\nretry: 9\n" + each for each in (*made.frames, *made.end)]),
    ],
    "one_byte_pieces": lambda made: list(_single(_whole(made))),
    "slow_drip": lambda made: [step for byte in _single(_whole(made)) for step in (DRIP_S, byte)],
}
"""Each fault as the steps it makes of an answer."""


def _sse(frame: Json) -> bytes:
    if isinstance(frame, dict) and "data" in frame and frame.keys() <= _FRAME_KEYS:
        head = b"".join(f"{key}: {frame[key]}\n".encode() for key in ("event", "id") if key in frame)
        return head + _sse(frame["data"])
    data = frame.encode() if isinstance(frame, str) else orjson.dumps(frame)
    return b"data: " + data.replace(b"\n", b"\ndata: ") + b"\n\n"


WRITERS: Final[Mapping[str, Callable[[Json], bytes]]] = {
    "sse": _sse,
    "ndjson": lambda frame: (frame.encode() if isinstance(frame, str) else orjson.dumps(frame)) + b"\n",
    "raw": lambda frame: frame.encode() if isinstance(frame, str) else orjson.dumps(frame),
}
"""How a frame is written in each framing."""
