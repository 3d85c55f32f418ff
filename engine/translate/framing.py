"""Framing: from the bytes of an upstream stream to frames, whatever the pieces in which the bytes arrive.

Every decoder is the same two-method object: `feed(bytes)` gives the frames that are complete, `flush()` what is left at
the end (httpx's decoders are the model). Any split of the bytes gives the same frames; a frame above `MAX_FRAME_BYTES`
is refused, so a stream cannot grow memory. Lines end at LF, CR LF and CR and nowhere else: U+2028 is text (trap 76).

    sse          blank-line separated blocks of `field: value` lines (WHATWG HTML, server-sent events)
    ndjson       one JSON value a line
    json_array   one JSON array, its items are the frames
    json_concat  JSON values one after the other, with or without white space between them
    text         plain text; each piece is a frame
    aws_eventstream  binary messages (`application/vnd.amazon.eventstream`): twelve bytes of prelude (length of the
                 whole, length of the headers, CRC-32 of these eight), headers, payload, CRC-32 of all before it. The
                 header `:event-type`, or for a failure `:exception-type` or `:error-code`, is the frame's event, the
                 payload its data, all headers its fields.
"""

from __future__ import annotations

import codecs
import re
import struct
import zlib
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Final, NamedTuple, Protocol

SPACE: Final = b"\xef\xbb\xbf \t\r\n"
"""White space, and the byte order mark."""
MAX_FRAME_BYTES: Final = 1 << 20
_BOM: Final = b"\xef\xbb\xbf"
_SEPARATORS: Final = str.maketrans({"\u2028": "\\u2028", "\u2029": "\\u2029", "\u0085": "\\u0085"})


def without_line_ends(payload: bytes) -> bytes:
    """JSON with U+2028, U+2029 and U+0085 escaped: the same text, but some clients would see a line end in them."""
    if payload.isascii() or not (b"\xe2\x80" in payload or b"\xc2\x85" in payload):
        return payload
    return payload.decode().translate(_SEPARATORS).encode()


def begins_whole(body: bytes) -> bool:
    """Whether a body begins like JSON or a page, as no line of server-sent events does; its type may say otherwise."""
    return body.lstrip(SPACE).startswith((b"{", b"[", b"<"))


class FramingError(ValueError):
    """The bytes are not what the framing says: a frame too large, broken UTF-8, text where JSON belongs.

    `frames` are those that were complete before: a failure takes nothing with it, however the bytes are cut.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.frames: list[Frame] = []


_NO_FIELDS: Final[Mapping[str, str]] = MappingProxyType({})


class Frame(NamedTuple):
    """One unit on the wire. `data` is its text; `fields` are SSE fields other than event, data, id and retry."""

    data: str
    event: str | None = None
    id: str | None = None
    fields: Mapping[str, str] = _NO_FIELDS


_new: Final = tuple.__new__
"""Makes a frame without the detour over its own constructor."""


class Framer(Protocol):
    """A decoder of one stream."""

    def feed(self, data: bytes) -> list[Frame]:
        """Take bytes as they arrive and give the frames that they complete. Raises FramingError."""
        ...

    def flush(self) -> list[Frame]:
        """Give what the end of the stream completes. Raises FramingError."""
        ...


def _made(parts: Iterable[bytes], make: Callable[[bytes], Frame | None]) -> list[Frame]:
    """The frames of some parts. Raises FramingError with those before the one that is none."""
    frames: list[Frame] = []
    for part in parts:
        try:
            frame = make(part)
        except FramingError as error:
            error.frames = frames
            raise
        if frame is not None:
            frames.append(frame)
    return frames


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise FramingError("the stream is not UTF-8") from error


class _Lines:
    """Bytes to normalized text: line ends become LF, a byte-order mark at the head is dropped.

    Bytes without a line end are only collected, so a long line that comes byte by byte costs linear time.
    """

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0
        self._at_head = True

    @property
    def is_empty(self) -> bool:
        """Whether nothing is kept from before: what comes now stands for itself."""
        return not self._parts and not self._at_head

    def take(self, data: bytes) -> bytes | None:
        """What was collected and the new bytes, once there is a line end among them; else None."""
        self._parts.append(data)
        self._size += len(data)
        if self._size > MAX_FRAME_BYTES + len(data):
            raise FramingError("a frame of the stream is too large")
        return self._joined() if b"\n" in data or b"\r" in data else None

    def _joined(self) -> bytes:
        whole = b"".join(self._parts)
        if self._at_head and len(whole) >= len(_BOM):
            self._at_head = False
            whole = whole.removeprefix(_BOM)
        if b"\r" in whole:
            # A CR at the very end may be half of a CR LF: it waits for the next byte.
            held = whole.endswith(b"\r")
            whole = (whole[:-1] if held else whole).replace(b"\r\n", b"\n").replace(b"\r", b"\n")
            self._held = held
        else:
            self._held = False
        return whole

    def keep(self, rest: bytes, frames: list[Frame]) -> None:
        """Go on with what is not a frame yet; `frames` came before it."""
        tail = rest + b"\r" if self._held else rest
        if len(tail) > MAX_FRAME_BYTES:
            error = FramingError("a frame of the stream is too large")
            error.frames = frames
            raise error
        self._parts = [tail] if tail else []
        self._size = len(tail)

    def rest(self) -> bytes:
        """What is left at the end, its last line end included if it had one."""
        whole = self._joined()
        ended = whole + b"\n" if self._held else whole
        self._parts, self._size = [], 0
        return ended


class SseFramer:
    """Server-sent events. Comments and `retry:` are passed over; the last event may lack its blank line."""

    def __init__(self) -> None:
        self._lines = _Lines()

    def feed(self, data: bytes) -> list[Frame]:
        """See `Framer.feed`."""
        if data[-2:] == b"\n\n" and self._lines.is_empty and b"\r" not in data:
            if data[:6] == b"data: " and data.find(b"\n") == len(data) - 2:
                return [
                    _new(Frame, (_text(data[6:-2]), None, None, _NO_FIELDS))
                ]  # one event of one line, as nearly all
            return _made(data[:-2].split(b"\n\n"), _event)
        text = self._lines.take(data)
        if text is None:
            return []
        *blocks, rest = text.split(b"\n\n")
        frames = _made(blocks, _event)
        self._lines.keep(rest, frames)
        return frames

    def flush(self) -> list[Frame]:
        """See `Framer.flush`."""
        return _made(self._lines.rest().split(b"\n\n"), _event)


def _event(block: bytes) -> Frame | None:
    """One block of lines as a frame; None for comments, empty blocks and blocks without data."""
    if block.startswith(b"data: ") and b"\n" not in block:
        return Frame(_text(block[6:]))
    event: str | None = None
    event_id: str | None = None
    data: list[str] = []
    other: dict[str, str] = {}
    for line in _text(block).split("\n"):
        if not line or line[0] == ":":
            continue
        name, _, value = line.partition(":")
        value = value[1:] if value[:1] == " " else value
        if name == "data":
            data.append(value)
        elif name == "event":
            event = value
        elif name == "id":
            event_id = value
        elif name != "retry":
            other[name] = value
    if not data and event is None and not other:
        return None
    return Frame("\n".join(data), event, event_id, other)


class NdjsonFramer:
    """One JSON value a line; empty lines are passed over."""

    def __init__(self) -> None:
        self._lines = _Lines()

    def feed(self, data: bytes) -> list[Frame]:
        """See `Framer.feed`."""
        text = self._lines.take(data)
        if text is None:
            return []
        *lines, rest = text.split(b"\n")
        frames = _made(lines, _line)
        self._lines.keep(rest, frames)
        return frames

    def flush(self) -> list[Frame]:
        """See `Framer.flush`."""
        return _made(self._lines.rest().split(b"\n"), _line)


def _line(line: bytes) -> Frame | None:
    return Frame(_text(line)) if line.strip() else None


_STRUCTURE: Final = re.compile(rb'["{}\[\]]')
_IN_STRING: Final = re.compile(rb'["\\]')
_SCALAR_END: Final = re.compile(rb"[\s,\]]")


class JsonFramer:
    """JSON values out of one array (`array`) or one after the other.

    State   `_depth` counts open braces and brackets, `_scan` is how far the buffer was read, `_begin` where the
            present value begins (-1 between values); each byte is looked at once.
    """

    def __init__(self, *, array: bool) -> None:
        self._array = array
        self._opened = not array
        self._closed = False
        self._buffer = bytearray()
        self._scan = 0
        self._begin = -1
        self._depth = 0
        self._in_string = False

    def feed(self, data: bytes) -> list[Frame]:
        """See `Framer.feed`."""
        self._buffer += data
        frames: list[Frame] = []
        while (frame := self._next()) is not None:
            frames.append(frame)
        kept = self._begin if self._begin >= 0 else self._scan
        if len(self._buffer) - kept > MAX_FRAME_BYTES:
            raise FramingError("a frame of the stream is too large")
        del self._buffer[:kept]
        self._scan -= kept
        self._begin = 0 if self._begin >= 0 else -1
        return frames

    def flush(self) -> list[Frame]:
        """See `Framer.flush`. A value that is not closed is an error, and so is an array that is not."""
        rest = bytes(self._buffer[max(self._begin, 0) :]).strip()
        if not self._array and self._begin >= 0 and self._depth == 0 and not self._in_string and rest:
            self._begin = -1
            return [Frame(_text(rest))]
        if self._begin >= 0 or (self._array and self._opened and not self._closed):
            raise FramingError("the stream ended inside a JSON value")
        return []

    def _next(self) -> Frame | None:
        if self._begin < 0 and not self._find_begin():
            return None
        end = self._find_end()
        if end is None:
            return None
        frame = Frame(_text(bytes(self._buffer[self._begin : end])))
        self._begin, self._scan = -1, end
        return frame

    def _find_begin(self) -> bool:
        """Pass over white space, commas and the array's own brackets to the next value."""
        buffer = self._buffer
        while self._scan < len(buffer):
            byte = buffer[self._scan : self._scan + 1]
            if byte.isspace() or byte == b"," or (self._scan == 0 and buffer.startswith(_BOM[:1])):
                self._scan += 3 if byte == _BOM[:1] else 1
            elif self._array and not self._opened and byte == b"[":
                self._opened, self._scan = True, self._scan + 1
            elif self._array and self._opened and byte == b"]":
                self._closed, self._scan = True, self._scan + 1
            elif self._closed or not self._opened:
                raise FramingError("the stream is not one JSON array")
            else:
                self._begin = self._scan
                return True
        self._scan = min(self._scan, len(buffer))
        return False

    def _find_end(self) -> int | None:
        """The end of the value that began, if it is there."""
        buffer = self._buffer
        if self._depth == 0 and not self._in_string and buffer[self._begin] not in b'{["':
            match = _SCALAR_END.search(buffer, max(self._scan, self._begin))
            self._scan = len(buffer)
            return match.start() if match else None
        while True:
            match = (_IN_STRING if self._in_string else _STRUCTURE).search(buffer, self._scan)
            if match is None:
                self._scan = len(buffer)
                return None
            if match[0] == b"\\":
                if match.end() >= len(buffer):
                    self._scan = match.start()
                    return None
                self._scan = match.end() + 1
                continue
            self._scan = match.end()
            if self._step(match[0]):
                return self._scan

    def _step(self, byte: bytes) -> bool:
        """Take one quote, brace or bracket; True when it ends the value."""
        if byte == b'"':
            self._in_string = not self._in_string
        else:
            self._depth += 1 if byte in b"{[" else -1
        return self._depth == 0 and not self._in_string


class TextFramer:
    """Plain text: each piece of bytes is a frame, characters cut in two are put together again."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")()

    def feed(self, data: bytes) -> list[Frame]:
        """See `Framer.feed`."""
        return self._decode(data, final=False)

    def flush(self) -> list[Frame]:
        """See `Framer.flush`."""
        return self._decode(b"", final=True)

    def _decode(self, data: bytes, *, final: bool) -> list[Frame]:
        try:
            text = self._decoder.decode(data, final)
        except UnicodeDecodeError as error:
            raise FramingError("the stream is not UTF-8") from error
        return [Frame(text)] if text else []


_PRELUDE: Final = struct.Struct(">III")
_CRC: Final = struct.Struct(">I")
_FIXED_HEADERS: Final = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}
"""The size of a header's value by its type; types 6 and 7 (bytes, text) have two bytes of length before it."""

_NAMING: Final = (":event-type", ":exception-type", ":error-code")


class EventStreamFramer:
    """Binary messages with checksums. A length is believed only once the checksum over it was right."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[Frame]:
        """See `Framer.feed`."""
        self._buffer += data
        frames: list[Frame] = []
        while (size := self._size()) is not None and len(self._buffer) >= size:
            frames.append(_message(bytes(self._buffer[:size])))
            del self._buffer[:size]
        return frames

    def flush(self) -> list[Frame]:
        """See `Framer.flush`. A message that was begun and not ended is an error."""
        if self._buffer:
            raise FramingError("the stream ended inside a message")
        return []

    def _size(self) -> int | None:
        """The size of the message at the head of the buffer, if its prelude is there."""
        if len(self._buffer) < _PRELUDE.size:
            return None
        size, headers, checksum = _PRELUDE.unpack_from(self._buffer)
        if zlib.crc32(self._buffer[:8]) != checksum:
            raise FramingError("the checksum of a message's prelude is wrong")
        if size > MAX_FRAME_BYTES:
            raise FramingError("a frame of the stream is too large")
        if size < _PRELUDE.size + headers + _CRC.size:
            raise FramingError("the lengths of a message contradict each other")
        return int(size)


def _message(data: bytes) -> Frame:
    size, length, _ = _PRELUDE.unpack_from(data)
    if zlib.crc32(data[:-4]) != _CRC.unpack_from(data, size - 4)[0]:
        raise FramingError("the checksum of a message is wrong")
    end = _PRELUDE.size + length
    try:
        fields = _headers(data[_PRELUDE.size : end])
    except (struct.error, IndexError, KeyError) as error:
        raise FramingError("the headers of a message cannot be read") from error
    event = next((fields[name] for name in _NAMING if name in fields), None)
    return Frame(_text(data[end:-4]), event, None, fields)


def _headers(data: bytes) -> dict[str, str]:
    """The headers that are text; others are passed over."""
    fields: dict[str, str] = {}
    at = 0
    while at < len(data):
        begin = at + 1
        at = begin + data[at]
        name, kind = _text(data[begin:at]), data[at]
        at += 1
        if kind in (6, 7):
            length = struct.unpack_from(">H", data, at)[0]
            at += 2
        else:
            length = _FIXED_HEADERS[kind]
        if at + length > len(data):
            raise IndexError(name)
        if kind == 7:
            fields[name] = _text(data[at : at + length])
        at += length
    return fields


FRAMERS: Final[Mapping[str, Callable[[], Framer]]] = {
    "sse": SseFramer,
    "ndjson": NdjsonFramer,
    "json_array": lambda: JsonFramer(array=True),
    "json_concat": lambda: JsonFramer(array=False),
    "text": TextFramer,
    "aws_eventstream": EventStreamFramer,
}
"""The framings that a mapping may name (`stream.framing`)."""
