"""The log: one line per request from an allow-list of fields, and the raw messages when `log.print` asks for them.

Rules    no header, body, URL query or library text is ever a field (R3, T25); what is printed on request goes through
         the scrubber, credential headers as `***`, control characters as escapes.
         Writing happens in a thread behind a bounded queue: a full disk, a closed pipe or a slow reader costs lines,
         never requests (F61, F62); lost lines are counted.
"""

from __future__ import annotations

import logging
import logging.handlers
import queue
import re
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Final

import orjson

from engine.config import LogConfig
from engine.gateway.call import Record
from engine.gateway.scrubbing import CREDENTIAL_HEADERS, MASK, Scrubber
from engine.types import JsonObject, Secret

QUEUE_LINES: Final = 10_000
PRINTED_BYTES: Final = 262_144

ACCESS: Final = logging.getLogger("engine.access")
PRINT: Final = logging.getLogger("engine.print")
ENGINE: Final = logging.getLogger("engine")

_OTHERS: Final = (logging.getLogger("uvicorn"), logging.getLogger("asyncio"))
"""Loggers of the libraries below us; what they say goes through the same scrubber."""

_FIELDS: Final = tuple(field.name for field in fields(Record))
_CONTROL: Final = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def record_fields(record: Record) -> JsonObject:
    """The fields of a record that say something, in a fixed order."""
    found = {name: getattr(record, name) for name in _FIELDS}
    return {name: _short(value) for name, value in found.items() if value not in (None, "", 0, 0.0)}


def _short(value: object) -> object:
    if isinstance(value, float):
        return round(value, 1)
    return value[:300] if isinstance(value, str) else value


def escape_controls(text: str) -> str:
    """`text` with everything that could steer a terminal written as an escape; line feeds stay."""
    return _CONTROL.sub(lambda found: f"\\u{ord(found.group()):04x}", text)


class _JsonFormatter(logging.Formatter):
    def __init__(self, scrubber: Scrubber) -> None:
        super().__init__()
        self._scrubber = scrubber

    def format(self, record: logging.LogRecord) -> str:
        line: JsonObject = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return self._scrubber.scrub(orjson.dumps(line, default=str).decode())


class _TextFormatter(logging.Formatter):
    def __init__(self, scrubber: Scrubber) -> None:
        super().__init__()
        self._scrubber = scrubber

    def format(self, record: logging.LogRecord) -> str:
        found: JsonObject = dict(getattr(record, "fields", {}))
        body = found.pop("message", None)
        clock = time.strftime("%H:%M:%S", time.localtime(record.created))
        pairs = " ".join(f"{name}={_shown(value)}" for name, value in found.items())
        text = f"{clock} {record.levelname.lower()} {record.getMessage()} {pairs}".rstrip()
        if body is not None:
            text += f"\n{body}"
        if record.exc_info:
            text += "\n" + self.formatException(record.exc_info)
        return escape_controls(self._scrubber.scrub(text))


def _shown(value: object) -> str:
    text = value if isinstance(value, str) else orjson.dumps(value, default=str).decode()
    return repr(text) if not text.isprintable() or " " in text else text


class _BoundedQueueHandler(logging.handlers.QueueHandler):
    """Puts a record into the queue, or counts it as lost; never waits and never raises."""

    def __init__(self, lines: queue.Queue[logging.LogRecord]) -> None:
        super().__init__(lines)
        self.lost = 0

    def prepare(self, record: logging.LogRecord) -> logging.LogRecord:
        return record  # formatting is the listener's work; the fields are frozen by then

    def enqueue(self, record: logging.LogRecord) -> None:
        try:
            self.queue.put_nowait(record)
        except queue.Full:
            self.lost += 1

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  # the library's name
        self.lost += 1


class LogWriter:
    """The thread that writes. `start` before the first request, `stop` after the last; `lost` counts dropped lines."""

    def __init__(self, log: LogConfig, scrubber: Scrubber) -> None:
        self._sink = _sink(log)
        self._sink.setFormatter(_JsonFormatter(scrubber) if log.format == "json" else _TextFormatter(scrubber))
        lines: queue.Queue[logging.LogRecord] = queue.Queue(QUEUE_LINES)
        self._handler = _BoundedQueueHandler(lines)
        self._listener = logging.handlers.QueueListener(lines, self._sink)
        self._level = log.level.upper()

    @property
    def lost(self) -> int:
        """How many lines were dropped since the queue was full or the sink failed."""
        return self._handler.lost

    def start(self) -> None:
        """Send the engine's loggers through the queue."""
        for logger in (ENGINE, *_OTHERS):
            logger.propagate = False
            logger.addHandler(self._handler)
        ENGINE.setLevel(self._level)
        PRINT.setLevel(logging.INFO)  # what was asked for by name is shown at any level
        self._listener.start()

    def stop(self) -> None:
        """Write what is queued and end the thread."""
        for logger in (ENGINE, *_OTHERS):
            logger.removeHandler(self._handler)
            logger.propagate = True
        self._listener.stop()
        self._sink.close()


class _QuietFileHandler(logging.handlers.WatchedFileHandler):
    def emit(self, record: logging.LogRecord) -> None:
        try:
            super().emit(record)
        except OSError:  # opening the file happens outside the library's own net, and would end the writing thread
            self.handleError(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  # the library's name
        """A full disk is not the request's problem."""


class _QuietStreamHandler(logging.StreamHandler):  # type: ignore[type-arg]  # generic in the stubs only
    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  # the library's name
        """A closed pipe is not the request's problem."""


def _sink(log: LogConfig) -> logging.Handler:
    if log.file:
        return _QuietFileHandler(log.file, encoding="utf-8", delay=True)
    return _QuietStreamHandler(sys.stderr)


def write_access(record: Record) -> None:
    """Write the one line of a finished request; failures of ours at error level, of others at warning."""
    level = logging.ERROR if record.status >= 500 else logging.WARNING if record.status >= 400 else logging.INFO
    if ACCESS.isEnabledFor(level):
        ACCESS.log(level, "request", extra={"fields": record_fields(record)})


class Printer:
    """Shows whole messages for debugging, at the stages that were asked for."""

    def __init__(self, stages: Iterable[str], scrubber: Scrubber) -> None:
        self._stages = frozenset(stages)
        self._scrubber = scrubber

    def wants(self, stage: str) -> bool:
        """Whether anything would be printed, so that nobody prepares for nothing."""
        return stage in self._stages

    def show(
        self, stage: str, request_id: str, head: str, headers: Iterable[tuple[str, str | Secret]], body: bytes | None
    ) -> None:
        """Print one message: its first line, its headers, its body; secrets masked, at most 256 KiB of body."""
        if stage not in self._stages:
            return
        lines = [head, *(f"{name}: {_header_text(name, value)}" for name, value in headers), ""]
        text = (body or b"")[:PRINTED_BYTES].decode("utf-8", "replace")
        message = escape_controls(self._scrubber.scrub("\n".join([*lines, text]).rstrip()))
        PRINT.info(stage, extra={"fields": {"request_id": request_id, "message": message}})


def _header_text(name: str, value: str | Secret) -> str:
    return MASK if name.lower() in CREDENTIAL_HEADERS else str(value)


def masked(headers: Mapping[str, str]) -> list[tuple[str, str]]:
    """Headers as pairs with credentials as `***`."""
    return [(name, _header_text(name, value)) for name, value in headers.items()]
