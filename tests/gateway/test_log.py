"""The log: allow-listed fields, nothing that steers a terminal, no secret, no waiting."""

from __future__ import annotations

import json
import logging
from pathlib import Path

from engine.config import LogConfig
from engine.gateway.call import Record
from engine.gateway.log import ENGINE, LogWriter, Printer, escape_controls, write_access
from engine.gateway.scrubbing import Scrubber
from engine.types import Secret

KEY = "sk-secret-1234567890"


def written(tmp_path: Path, log: LogConfig, *records: Record) -> str:
    file = tmp_path / "engine.log"
    writer = LogWriter(LogConfig(log.format, log.level, str(file), log.print), Scrubber([KEY]))
    writer.start()
    for record in records:
        write_access(record)
    Printer(log.print, Scrubber([KEY])).show(
        "client_request", "req_1", "POST /x",
        [("authorization", f"Bearer {KEY}"), ("x-other", Secret(KEY)), ("x-plain", "a\x1b[31m")],
        f'{{"k":"{KEY}"}}'.encode(),
    )  # fmt: skip
    writer.stop()
    return file.read_text() if file.exists() else ""


def test_json_line(tmp_path: Path) -> None:
    """One object per request, empty fields left out, floats short."""
    record = Record("req_1", method="POST", model="m\x1b[2J", status=200, duration_ms=12.3456, detail=f"said {KEY}")
    line = json.loads(written(tmp_path, LogConfig("json"), record))

    assert line["event"] == "request"
    assert (line["request_id"], line["status"], line["duration_ms"]) == ("req_1", 200, 12.3)
    assert line["detail"] == "said ***"
    assert "upstream" not in line


def test_text_line_is_safe_for_a_terminal(tmp_path: Path) -> None:
    """Control characters are escapes."""
    text = written(tmp_path, LogConfig("text"), Record("req_1", model="m\x1b[2J\nfake line", status=404))

    assert "\x1b" not in text
    assert text.count("\n") == 1
    assert " warning request " in text


def test_print_masks(tmp_path: Path) -> None:
    """Credential headers and secret values are stars, wherever they stand."""
    text = written(tmp_path, LogConfig("text", print=("client_request",)))

    assert "authorization: ***" in text
    assert "x-other: ***" in text
    assert '{"k":"***"}' in text
    assert KEY not in text
    assert "\x1b" not in text


def test_level(tmp_path: Path) -> None:
    """Below the level nothing is written."""
    assert written(tmp_path, LogConfig("text", "error"), Record("req_1", status=200)) == ""


def test_a_sink_that_fails_costs_lines_only(tmp_path: Path) -> None:
    """F61: an unwritable file raises nothing into the request."""
    writer = LogWriter(LogConfig("json", file=str(tmp_path / "no" / "such" / "folder.log")), Scrubber([]))
    writer.start()
    write_access(Record("req_1", status=500))
    writer.stop()


def test_a_full_queue_drops_and_counts() -> None:
    """F62: nobody waits for a slow reader."""
    writer = LogWriter(LogConfig("json", file="/dev/null"), Scrubber([]))
    ENGINE.addHandler(writer._handler)
    level = ENGINE.level
    ENGINE.setLevel(logging.INFO)
    for _ in range(10_050):
        write_access(Record("req_1", status=200))
    ENGINE.removeHandler(writer._handler)
    ENGINE.setLevel(level)

    assert writer.lost == 50


def test_escape_keeps_lines() -> None:
    """Line feeds stay, everything else that is invisible becomes an escape."""
    assert escape_controls("a\nb\r\u2028\u202e") == "a\nb\\u000d\\u2028\\u202e"
