"""`engine try`: one live call through the whole engine, for whoever writes a mapping."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Final

import click

from engine.cli.arguments import mappings_option, options_option, own_folders, parse_options
from engine.cli.attempt import Attempt, Mask, ask
from engine.cli.caller_key import caller_key_option, config_in_use, read_caller_key
from engine.cli.deployment import Deployment, config_option, deploy
from engine.cli.saved_case import case_of, check_case_name, save_case
from engine.config import UpstreamConfig
from engine.gateway.call import Caller
from engine.language.cases import cases_of, json_codec, wire_of
from engine.language.catalog import read_catalog
from engine.language.inherit import Resolved
from engine.translate.losses import Losses
from engine.translate.wire import UpstreamRequest
from engine.types import JsonObject

_SHOWN_CHARS: Final = 2000
_HEAD_CHARS: Final = 600
_HELP: Final = """Ask an endpoint one question, and show the request, the answer and what was lost on the way.

TEXT is what the user says. Secrets are shown as ***. The key comes from the variable that the mapping names, or from a
config; where that passes each caller's own key on, --caller-key-env names the variable of yours. --save-case appends
the exchange to the mapping's file as a case; read it before it is published.

\b
Exit code: 0 there is an answer, 1 the call failed, 2 wrong usage.

\b
Examples:
  ACME_API_KEY=… engine try acme.chat "hi" --model acme-large
  engine try acme.chat "hi" --mock
  engine try acme.chat "hi" --stream --save-case says-hi
"""


@click.command("try", help=_HELP)
@click.argument("identifier", metavar="ID")
@click.argument("text")
@config_option
@options_option
@mappings_option
@click.option("--mock", is_flag=True, help="Ask the bundled mock instead; needs no key and no network.")
@click.option("--model", metavar="NAME", help="The model to ask (default: that of the mapping's first case).")
@caller_key_option
@click.option("--stream", is_flag=True, help="Ask for a stream.")
@click.option("--save-case", "case_name", metavar="NAME", help="Append the exchange to the mapping's file as a case.")
def command(  # noqa: PLR0913  # click hands over one argument per flag
    identifier: str, text: str, config_file: Path | None, options: tuple[str, ...], folders: tuple[Path, ...],
    mock: bool, model: str | None, caller_key_env: str | None, stream: bool, case_name: str | None,
) -> int:  # fmt: skip
    """Ask, show, and return the exit code."""
    by_config = config_file is not None
    given = () if by_config else options
    with deploy(config_file, None if by_config else identifier, given, folders, mock=mock) as deployment:
        upstream = _upstream(deployment, identifier)
        plan = deployment.catalog.endpoints[upstream.endpoint]
        if by_config and options:
            upstream = replace(upstream, options={**upstream.options, **parse_options(options, dict(plan.options))})
        catalog = read_catalog(deployment.config.mappings or own_folders())
        resolved = catalog.resolved["endpoint", plan.id]
        if case_name is not None:
            check_case_name(resolved, case_name)
        if stream and plan.stream is None:
            raise click.UsageError(f"{plan.id} has no `stream` section, so it cannot be asked for a stream")
        name = model or _first_model(resolved)
        caller = Caller("cli", read_caller_key(caller_key_env, deployment.config, [upstream]))
        attempt = asyncio.run(ask(deployment, upstream, caller, name, text, stream=stream))
    _show(attempt, config_in_use(deployment.config))
    if case_name is not None and (attempt.replies or attempt.stream is not None):
        case = case_of(plan, resolved, attempt, parse_options(options, dict(plan.options)))
        click.echo(f"\nwrote the case {case_name!r} to {save_case(resolved, case_name, case)}")
    return 0 if attempt.failure is None else 1


def _upstream(deployment: Deployment, identifier: str) -> UpstreamConfig:
    """The upstream of an endpoint, or of that very name."""
    upstreams = deployment.config.upstreams
    found = upstreams.get(identifier) or next(
        (each for each in upstreams.values() if each.endpoint == identifier), None
    )
    if found is None:
        raise click.UsageError(
            f"no upstream has the endpoint {identifier!r}{config_in_use(deployment.config)}; there are: "
            + ", ".join(upstreams)
        )
    return found


def _first_model(resolved: Resolved) -> str:
    """The model of the mapping's first case that names one."""
    for case in cases_of(resolved):
        request = case.given.get("request")
        if isinstance(request, dict) and isinstance(request.get("model"), str):
            return str(request["model"])
    raise click.UsageError(f"which model? No case of {resolved.id} names one; say --model NAME")


def _show(attempt: Attempt, config: str) -> None:
    for request, reply in attempt.token_calls:
        _show_request(request, attempt.masked)
        click.echo(f"< {reply.status if reply is not None else 'no answer'}, the call for a token\n")
    for request in attempt.sent:
        _show_request(request, attempt.masked)
    status = attempt.replies[-1].status if attempt.replies else attempt.live_status
    if attempt.stream is not None:
        click.echo(f"< {attempt.live_status}, {attempt.took_ms:.0f} ms, a stream of {len(attempt.stream)} bytes\n")
    elif status is not None:
        click.echo(f"< {status}, {attempt.took_ms:.0f} ms, {len(attempt.replies[-1].body)} bytes\n")
    if attempt.failure is not None:
        _show_failure(attempt, config)
        return
    assert attempt.out is not None
    for label, value in _facts(attempt.out, attempt.losses):
        if value:
            click.echo(f"{label:10}{attempt.masked(value)}")


def _show_request(request: UpstreamRequest, masked: Mask) -> None:
    wire = wire_of(request, json_codec())
    query = "&".join(f"{name}={value}" for name, value in wire.get("query", {}).items())
    click.echo(f"> {wire['method']} {wire['url']}{'?' if query else ''}{query}")
    for name, value in wire["headers"].items():
        click.echo(f"  {name}: {value}")
    if "body" in wire:
        body = wire["body"]
        text = body if isinstance(body, str) else json.dumps(body, ensure_ascii=False, indent=2)
        click.echo("\n".join(f"  {line}" for line in _cut(masked(text), _SHOWN_CHARS).split("\n")))
    click.echo()


def _facts(out: JsonObject, losses: Losses) -> list[tuple[str, str]]:
    usage, cost = out.get("usage") or {}, out.get("cost") or {}
    counts = [f"{key.removesuffix('_tokens')} {value}" for key, value in usage.items() if value and value is not True]
    calls = [f"{call['name']}({call['arguments']})" for call in out.get("tool_calls") or ()]
    amount = f"{cost['amount']} {cost.get('unit') or ''}".strip() if cost.get("amount") is not None else ""
    return [
        ("text", out.get("text") or "(empty)"),
        ("reasoning", out.get("reasoning") or ""),
        ("calls", ", ".join(calls)),
        ("finish", out.get("finish_reason") or ""),
        ("model", out.get("upstream_model") or ""),
        ("usage", ", ".join(counts) or "not told"),
        ("cost", amount or "not told"),
        ("losses", ", ".join(f"{loss.field} {loss.action}" for loss in losses.items) or "none"),
    ]


def _show_failure(attempt: Attempt, config: str) -> None:
    """What a client would be told, what only the operator is told, and the beginning of the answer itself."""
    failure = attempt.failure
    assert failure is not None
    info = failure.info
    click.echo(f"failed: {info.message}{config}", err=True)
    told = {"type": info.type, "status": info.status, "code": info.code, "param": info.param}
    click.echo("  " + ", ".join(f"{name} {value}" for name, value in told.items() if value is not None), err=True)
    if failure.detail:
        click.echo(f"  {attempt.masked(failure.detail)}", err=True)
    raw = bytes(attempt.stream) if attempt.stream is not None else _last_body(attempt)
    if raw:
        head = _cut(attempt.masked(raw.decode("utf-8", "replace")), _HEAD_CHARS)
        click.echo("the answer began:\n" + "\n".join(f"  {line}" for line in head.split("\n")), err=True)


def _last_body(attempt: Attempt) -> bytes:
    """The last answer, that of a call for a token where there is no other."""
    tokens = [reply for _, reply in attempt.token_calls if reply is not None]
    replies = attempt.replies or tokens
    return replies[-1].body if replies else b""


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]}… ({len(text) - most} more)"
