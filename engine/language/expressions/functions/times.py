"""Times: seconds since 1970 and the spellings that APIs use, always in UTC."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from engine.language.expressions.runtime import FunctionError
from engine.language.expressions.signatures import Parameter, function, text_parameter
from engine.language.static_types import NUMBER, STRING, enum_of
from engine.types import Json

_SECONDS: Final = Parameter("seconds", NUMBER)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SPELLINGS: Final = {
    "date": "%Y%m%d",
    "stamp": "%Y%m%dT%H%M%SZ",
    "http": "%a, %d %b %Y %H:%M:%S GMT",
    "day": "%Y-%m-%d",
}
_FRACTION: Final = re.compile(r"\.(\d+)")


def _moment(seconds: Json) -> datetime:
    try:
        return _EPOCH + timedelta(seconds=int(seconds))
    except (OverflowError, ValueError):
        raise FunctionError("seconds is out of the range of dates") from None


@function(
    "iso_time",
    [_SECONDS],
    STRING,
    "Seconds since 1970 as RFC 3339 time in UTC, whole seconds.",
    examples=[
        ("iso_time(v)", {"v": 1738324800}, "2025-01-31T12:00:00Z"),
        ("iso_time(v)", {"v": 0}, "1970-01-01T00:00:00Z"),
    ],
)
def _iso_time(seconds: Json) -> Json:
    return _moment(seconds).isoformat().replace("+00:00", "Z")


@function(
    "epoch",
    [text_parameter("time")],
    NUMBER.optional(),
    "The seconds since 1970 of an ISO 8601 time, whole seconds; a time without zone is UTC. Null if it is no time.",
    examples=[
        ("epoch(v)", {"v": "2025-01-31T12:00:00Z"}, 1738324800),
        ("epoch(v)", {"v": "2025-01-31T13:00:00.123456789+01:00"}, 1738324800),
        ("epoch(v)", {"v": "soon"}, None),
    ],
)
def _epoch(time: str) -> Json:
    try:
        read = datetime.fromisoformat(_FRACTION.sub("", time.strip(), count=1))
        moment = read if read.tzinfo else read.replace(tzinfo=UTC)
        return (moment - _EPOCH) // timedelta(seconds=1)
    except (ValueError, OverflowError):
        return None


@function(
    "utc_date",
    [_SECONDS, Parameter("spelling", enum_of(*_SPELLINGS))],
    STRING,
    "Seconds since 1970 as a date in UTC: day (2025-01-31, the default), date (20250131), stamp (20250131T120000Z) or "
    "http (Fri, 31 Jan 2025 12:00:00 GMT).",
    examples=[
        ("utc_date(v)", {"v": 1738324800}, "2025-01-31"),
        ("utc_date(v, 'stamp')", {"v": 1738324800}, "20250131T120000Z"),
        ("utc_date(v, 'http')", {"v": 1738324800}, "Fri, 31 Jan 2025 12:00:00 GMT"),
    ],
    optional=1,
)
def _utc_date(seconds: Json, spelling: str = "day") -> Json:
    if spelling not in _SPELLINGS:
        raise FunctionError(f"spelling must be one of {', '.join(_SPELLINGS)}")
    return _moment(seconds).strftime(_SPELLINGS[spelling])
