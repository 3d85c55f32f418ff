"""`engine new endpoint`: a curl command and a sample of the reply become a mapping whose cases pass."""

# house style (STYLE B8): expected == actual

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from engine.language.catalog import read_catalog
from engine.language.reader import to_json
from tests.cli.desk import Cli

KEY = "verysecret-0123456789"
CHAT = {
    "id": "c-1",
    "model": "large-2",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello there."}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
}
MESSAGES = """# how to ask
curl https://api.acme.example/v1/chat/completions \\
  -H "Content-Type: application/json" -H 'acme-version: 2024-01-01' \\
  -H "Authorization: Bearer $ACME_KEY" \\
  -d '{"model": "large", "messages": [{"role": "system", "content": "Be brief."},
       {"role": "user", "content": "It'\\''s me"}], "temperature": 0.7, "max_tokens": 9, "stop": ["END"],
       "stream": false, "safe_mode": true, "odd": "=x", "tools": [{"name": "f"}]}'
"""
FLAT = f"""curl -sX POST "https://acme.example/api/generate?v=2" -H 'X-Api-Key: {KEY}' --json '{{
  "modelId": "m1", "input": {{"prompt": "Tell me a joke"}}, "options": {{"maxOutputTokens": 40, "topP": "0.9"}}}}'
"""
PARTS = f"""curl 'https://acme.example/v1beta/models/gem-2:generate?key={KEY}' --json '{{
  "system_instruction": {{"parts": [{{"text": "Be brief."}}]}},
  "contents": [{{"role": "USER", "parts": [{{"text": "hi"}}]}}, {{"role": "MODEL", "parts": [{{"text": "yes?"}}]}},
               {{"role": "USER", "parts": [{{"text": "why"}}]}}],
  "generationConfig": {{"temperature": 1, "maxOutputTokens": 99}}}}'
"""
PARTED = {"candidates": [{"content": {"role": "MODEL", "parts": [{"text": "So."}]}, "finishReason": "MAX_TOKENS"}],
          "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 2}}  # fmt: skip
FORM = f"curl http://localhost:8080/ask -u me:{KEY} -d 'question=hi+there' -d temperature=1 -d lang=en"
HISTORY = f"""curl https://acme.example/v1/chat -H 'Authorization: Token {KEY}' -b 'session={KEY}' -d $'{{
  "model": "c", "message": "and it\\'s?", "preamble": "Be brief.",
  "chat_history": [{{"role": "CHATBOT", "message": "Hello"}}]}}'
"""
IN_BODY = f"""curl https://acme.example/v1/complete -H 'content-type: application/json' -d '{{
  "api_key": "{KEY}", "models": ["acme/m"], "message": "hi"}}'"""
DYNAMIC = {"data": {"completions": {"acme/m": {"completion": {"choices": [{"message": {"content": "42"}}]}}}}}


def drafted(cli: Cli, folder: Path, curl: str, sample: Any, *more: str) -> dict[str, Any]:
    """The drafted document; it validates without a warning, its cases pass, and the key is not in it."""
    (folder / "call.sh").write_text(curl)
    (folder / "sample.json").write_text(json.dumps(sample))
    out = folder / "mine" / "drafted.yaml"

    done = cli(
        "new", "endpoint", "--from-curl", folder / "call.sh", "--sample", folder / "sample.json", "--out", out, *more
    )
    assert (0, "") == (done.code, done.err)
    checked = cli("validate", "--release", out)

    assert (0, "checked 1 file, ran 2 tests: no problems\n") == (checked.code, checked.out)
    assert KEY not in out.read_text()
    (document,) = [each for each in read_catalog([out], shipped=False).documents if each.kind == "endpoint"]
    made: dict[str, Any] = to_json(document.root)
    return made


def test_messages_become_expressions(cli: Cli, tmp_path: Path) -> None:
    """The model, the messages, the parameters; what looks like an expression is protected, tools are left out."""
    made = drafted(cli, tmp_path, MESSAGES, CHAT)

    body = made["request"]["body"]
    assert "acme.chat" == made["id"]
    assert ({"api_key": {"env": "ACME_KEY"}}, {"bearer": "=secret.api_key"}) == (made["secrets"], made["auth"])
    assert {"acme-version": "2024-01-01"} == made["request"]["headers"]
    assert ("=req.messages", "=text(m.content)") == (body["messages"]["$each"], body["messages"]["do"]["content"])
    assert {"$literal": "=x"} == body["odd"]
    assert True is body["safe_mode"]
    assert ("=ctx.stream", {"$nonempty": "=list(req.stop)"}) == (body["stream"], body["stop"])
    assert "tools" not in body
    assert "=res.choices[0].message.content" == made["response"]["text"]["$require"]
    assert "stop" == made["response"]["finish_reason"]["cases"]["stop"]
    given = made["tests"]["request-of-the-command"]["given"]["request"]
    assert "It's me" == given["messages"][1]["content"]
    assert {"text": "Hello there.", "finish_reason": "stop"}.items() <= made["tests"]["reply-of-the-sample"]["expect"][
        "result"
    ].items()


def test_a_flat_prompt(cli: Cli, tmp_path: Path) -> None:
    """A prompt inside an object, numbers written as text, another letter case."""
    made = drafted(cli, tmp_path, FLAT, {"output": {"generated_text": "Ha."}, "requestId": "r1"})

    body = made["request"]["body"]
    assert {"header": {"x-api-key": "=secret.api_key"}} == made["auth"]
    assert {"env": "ACME_API_KEY"} == made["secrets"]["api_key"]
    assert {"v": "2"} == made["request"]["query"]
    assert "m.content | text" in body["input"]["prompt"]["$template"]
    assert ("=model.name", "=to_string(req.top_p)") == (body["modelId"], body["options"]["topP"])
    assert "=res.output.generated_text" == made["response"]["text"]["$require"]


def test_parts_roles_and_a_model_in_the_path(cli: Cli, tmp_path: Path) -> None:
    """Turns of typed parts, the roles' own words, a system text apart, the key in the query."""
    made = drafted(cli, tmp_path, PARTS, PARTED)

    turns = made["request"]["body"]["contents"]
    assert {"query": {"key": "=secret.api_key"}} == made["auth"]
    assert ("/v1beta/models/{model}:generate", {"model": "=model.name"}) == (
        made["request"]["path"],
        made["request"]["path_params"],
    )
    assert {"system": "SYSTEM", "developer": "SYSTEM", "assistant": "MODEL"} == turns["do"]["role"]["cases"]
    assert ("USER", "=p.text") == (turns["do"]["role"]["default"], turns["do"]["parts"]["do"]["text"])
    assert "length" == made["response"]["finish_reason"]["cases"]["MAX_TOKENS"]
    assert "=join('', res.candidates[0].content.parts[].text)" == made["response"]["text"]["$require"]
    expected = made["tests"]["request-of-the-command"]["expect"]["wire"]["body"]["contents"]
    assert ["USER", "MODEL", "USER"] == [turn["role"] for turn in expected]


def test_a_form_with_a_user_and_a_password(cli: Cli, tmp_path: Path) -> None:
    """Several `-d` are one form; a local address may be plain http."""
    made = drafted(cli, tmp_path, FORM, {"answer": "yes"}, "--id", "local.ask")

    assert {"user": "=secret.user", "password": "=secret.password"} == made["auth"]["basic"]
    assert ("local.ask", "form", "en") == (made["id"], made["request"]["encode"], made["request"]["body"]["lang"])


def test_history_apart_from_the_last_message(cli: Cli, tmp_path: Path) -> None:
    """Another scheme, `$'…'`, a cookie that is left out, the last message beside the list of earlier ones."""
    made = drafted(cli, tmp_path, HISTORY, {"text": "Yes.", "finish_reason": "COMPLETE"})

    body = made["request"]["body"]
    assert "=join(' ', ['Token', secret.api_key])" == made["auth"]["header"]["authorization"]
    assert "=text(req.messages[-1].content)" == body["message"]
    assert "=req.messages[:-1]" == body["chat_history"]["$each"]
    assert "and it's?" == made["tests"]["request-of-the-command"]["given"]["request"]["messages"][-1]["content"]


def test_a_key_in_the_body_and_data_as_keys_of_the_reply(cli: Cli, tmp_path: Path) -> None:
    """The credential leaves the body; an object whose one key is no name is gone through by its value."""
    made = drafted(cli, tmp_path, IN_BODY, DYNAMIC)

    assert {"body": {"api_key": "=secret.api_key"}} == made["auth"]
    assert ["=model.name"] == made["request"]["body"]["models"]
    assert (
        "=values(res.data.completions)[0].completion.choices[0].message.content" == made["response"]["text"]["$require"]
    )


def test_comments_say_what_was_guessed(cli: Cli, tmp_path: Path) -> None:
    """Without `--out` the draft is printed; other candidates and differences stand in comments."""
    (tmp_path / "call.sh").write_text(MESSAGES)
    (tmp_path / "s.json").write_text(json.dumps({**CHAT, "output_text": "Hello there. "}))
    done = cli("new", "endpoint", "--from-curl", tmp_path / "call.sh", "--sample", tmp_path / "s.json")

    assert "# Left out: tools." in done.out
    assert "# Other texts that could be the answer: res.output_text\n" in done.out
    assert "Not as in the command: body.tools" in done.out
    assert "only the sample's own word is known" in done.out


@pytest.mark.parametrize(
    ("curl", "sample", "message"),
    [
        ("wget https://x.example", CHAT, "does not begin with a curl command"),
        ("curl https://x.example -d '{\"a\": }'", CHAT, "the command's body is not JSON"),
        ("curl https://x.example -d 'x", CHAT, "a quote that is never closed?"),
        ("curl $URL -d a=b", CHAT, "no URL with a host that is written out"),
        ("curl https://x.example -d @none.json", CHAT, "which cannot be read"),
        ("curl https://x.example -H", CHAT, "ends after -H, which takes a value"),
        ("curl https://x.example; curl https://y.example", CHAT, "more than one curl command"),
        (MESSAGES, {"id": "1", "status": "ok"}, "no text that looks like an answer; its texts: res.id, res.status"),
        (MESSAGES.replace("$ACME_KEY", KEY).replace("Be brief.", KEY), CHAT, "credential also stands at another place"),
    ],
)
def test_what_cannot_be_drafted_is_told(cli: Cli, tmp_path: Path, curl: str, sample: Any, message: str) -> None:
    """Wrong usage, with the place and the remedy, and no file."""
    (tmp_path / "call.sh").write_text(curl)
    (tmp_path / "s.json").write_text(json.dumps(sample))
    out = tmp_path / "x.yaml"
    done = cli("new", "endpoint", "--from-curl", tmp_path / "call.sh", "--sample", tmp_path / "s.json", "--out", out)

    assert 2 == done.code
    assert message in done.err
    assert not out.exists()


def test_a_file_that_is_there_is_kept(cli: Cli, tmp_path: Path) -> None:
    """And so is everything where the id is none."""
    (tmp_path / "call.sh").write_text(MESSAGES)
    (tmp_path / "s.json").write_text(json.dumps(CHAT))
    there = ("--from-curl", tmp_path / "call.sh", "--sample", tmp_path / "s.json")

    assert 2 == cli("new", "endpoint", *there, "--out", tmp_path / "call.sh").code
    assert "is no id" in cli("new", "endpoint", *there, "--id", "Acme Chat").err
    assert MESSAGES == (tmp_path / "call.sh").read_text()
