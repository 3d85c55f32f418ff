"""`engine new endpoint`: a curl command and a sample of the reply become a mapping whose cases pass."""

# house style (STYLE B8): expected == actual

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from engine.cli import sketch
from engine.cli.sketch.words import plain_name, words
from engine.language.catalog import read_catalog
from engine.language.problems import Problems
from engine.language.reader import read_document, to_json
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
    """The drafted document; it validates but for its CHECK comments, its cases pass, and the key is not in it."""
    (folder / "call.sh").write_text(curl)
    (folder / "sample.json").write_text(json.dumps(sample) if not isinstance(sample, str) else sample)
    out = folder / "mine" / "drafted.yaml"

    done = cli(
        "new", "endpoint", "--from-curl", folder / "call.sh", "--sample", folder / "sample.json", "--out", out, *more
    )
    assert (0, "") == (done.code, done.err)
    checked = cli("validate", out)

    warnings = [line.split("[")[1][:4] for line in checked.out.splitlines() if line.startswith("warning")]
    assert (0, ["W404"]) == (checked.code, warnings)
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


def test_what_a_mapping_cannot_have_is_said(cli: Cli, tmp_path: Path) -> None:
    """A cookie given by `-b`, and the user and password that the command's own header overrules, as in curl."""
    curl = (f"curl https://anna:secret-word@acme.example/chat -b 'sid=abcdef123' -H 'Authorization: Bearer {KEY}'"
            " -d '{\"prompt\": \"hi\"}'")  # fmt: skip
    made = drafted(cli, tmp_path, curl, {"text": "Ho."})
    text = (tmp_path / "mine" / "drafted.yaml").read_text()

    assert {"bearer": "=secret.api_key"} == made["auth"]
    assert ["# Left out: the cookie", "# Left out: the user and password"] == [
        line.split(".")[0] for line in text.splitlines() if line.startswith("# Left out")
    ]
    assert not [word for word in ("abcdef123", "secret-word") if word in text]


def test_every_unknown_header_is_a_secret(cli: Cli, tmp_path: Path) -> None:
    """Whatever the header is called, its value is not written; what is harmless by its name stays or is dropped."""
    curl = (f"curl https://acme.example/v1/chat -H 'X-Quill-Pass: {KEY}' -H 'User-Agent: me/1' -H 'acme-version: 3'"
            " -d '{\"prompt\": \"hi\"}'")  # fmt: skip
    made = drafted(cli, tmp_path, curl, {"text": "Ho."})

    assert ({"header": {"x-quill-pass": "=secret.api_key"}}, {"api_key": {"env": "ACME_API_KEY"}}) == (
        made["auth"],
        made["secrets"],
    )
    assert {"acme-version": "3"} == made["request"]["headers"]


@pytest.mark.parametrize(
    ("arguments", "auth", "variables"),
    [
        ("-H 'X-Quill-Pass: $QUILL_PASS'", {"header": {"x-quill-pass": "=secret.api_key"}}, ["QUILL_PASS"]),
        ("-H 'acme-version: ${V}'", {"header": {"acme-version": "=secret.api_key"}}, ["V"]),
        ("-H 'X-Acme: Key $K'", {"header": {"x-acme": "=join('', ['Key ', secret.api_key, ''])"}}, ["K"]),
        (f"-H 'X-Acme: a-{KEY}'", {"header": {"x-acme": "=secret.api_key"}}, ["ACME_API_KEY"]),
        ("-u '${ME}:$PW'", {"basic": {"user": "=secret.user", "password": "=secret.password"}}, ["ME", "PW"]),
        (f"--url-query tide_key={KEY}", {"query": {"tide_key": "=secret.api_key"}}, ["ACME_API_KEY"]),
        ("--url-query 'who=$WHO'", {"query": {"who": "=secret.api_key"}}, ["WHO"]),
        (
            f"-H 'Authorization: Bearer $K' -H 'X-Org: {KEY}'",
            {"header": {"x-org": "=secret.x_org", "authorization": "=join(' ', ['Bearer', secret.api_key])"}},
            ["K", "ACME_X_ORG"],
        ),
        (
            f"-H 'X-Org: {KEY}' --url-query apikey=$K",
            {"sign": {"headers": {"x-org": "=secret.x_org"}, "query": {"apikey": "=secret.apikey"}}},
            ["ACME_X_ORG", "K"],
        ),
    ],
)  # fmt: skip
def test_a_variable_is_a_secret_wherever_it_stands(
    cli: Cli, tmp_path: Path, arguments: str, auth: Any, variables: list[str]
) -> None:
    """In a header that would be harmless, in the query, as user and password; several places together."""
    made = drafted(
        cli, tmp_path, f'curl https://acme.example/ask {arguments} --json \'{{"prompt": "hi"}}\'', {"text": "Ho."}
    )

    assert auth == made["auth"]
    assert variables == [each["env"] for each in made["secrets"].values()]


def test_variables_and_keys_in_the_body(cli: Cli, tmp_path: Path) -> None:
    """At its head they go to `auth.body`; deeper they are left out; in the place of the chat they are the chat."""
    body = {"prompt": "$PROMPT", "workspace": "$WORKSPACE", "client": {"token": KEY, "lang": "en"}, "max_tokens": 9}
    made = drafted(cli, tmp_path, f"curl https://acme.example/ask --json '{json.dumps(body)}'", {"text": "Ho."})

    assert {"body": {"workspace": "=secret.api_key"}} == made["auth"]
    assert {"lang": "en"} == made["request"]["body"]["client"]
    assert {"$template"} == set(made["request"]["body"]["prompt"])
    assert "# Left out: client.token of the body." in (tmp_path / "mine" / "drafted.yaml").read_text()


def test_variables_in_the_path_are_options_or_the_model(cli: Cli, tmp_path: Path) -> None:
    """A path has no secrets: what a variable of it stands for is named by a config."""
    curl = 'curl https://acme.example/v1/$ACCOUNT/run/{model} --json \'{"prompt": "hi"}\''
    made = drafted(cli, tmp_path, curl, {"text": "Ho."})

    assert ("/v1/{account}/run/{model}", {"account": "=opt.account", "model": "=model.name"}) == (
        made["request"]["path"],
        made["request"]["path_params"],
    )
    assert {"account": {"type": "string"}} == made["options"]


def test_what_looks_like_a_key_is_one(cli: Cli, tmp_path: Path) -> None:
    """Whatever it is called, and wherever it stands: in the query a secret, in the path an option."""
    odd = "Ab3dEf6hIj9kLm2nOp5qRs8t"
    curl = f"curl 'https://acme.example/v1/{odd}/ask?who={odd[::-1]}' --json '{{\"prompt\": \"hi\"}}'"
    made = drafted(cli, tmp_path, curl, {"text": "Ho."})

    assert ("/v1/{key}/ask", {"query": {"who": "=secret.api_key"}}) == (made["request"]["path"], made["auth"])
    text = (tmp_path / "mine" / "drafted.yaml").read_text()
    assert (False, False) == (odd in text, odd[::-1] in text)


def test_system_texts_are_joined_by_line_breaks(cli: Cli, tmp_path: Path) -> None:
    """What is sent holds line breaks, not a backslash and an n."""
    drafted(cli, tmp_path, HISTORY, {"text": "Yes."}, "--id", "acme.chat")
    chat = {
        "model": "c",
        "messages": [
            {"role": "system", "content": "A."},
            {"role": "system", "content": "B."},
            {"role": "user", "content": "hi"},
        ],
    }
    (tmp_path / "request.json").write_text(json.dumps(chat))
    sent = cli("translate", "--dialect", "openai.chat", "--endpoint", "acme.chat", "--mappings", tmp_path / "mine",
               tmp_path / "request.json")  # fmt: skip

    assert "A.\n\nB." == sent.json["body"]["preamble"]


def test_the_words_of_drafts_are_read_without_a_complaint() -> None:
    """The data file is YAML as mappings are, and each word is written as names are compared."""
    problems = Problems()
    file = Path(sketch.__file__).with_name("words.yaml")
    read_document(file.read_bytes(), file.name, problems)

    assert [] == problems.items
    assert [] == [each for each in words("request") | words("reply") if each != plain_name(each)]


def test_comments_say_what_was_guessed(cli: Cli, tmp_path: Path) -> None:
    """Without `--out` the draft is printed; other candidates and differences stand in comments."""
    (tmp_path / "call.sh").write_text(MESSAGES)
    (tmp_path / "s.json").write_text(json.dumps({**CHAT, "output_text": "Hello there. "}))
    done = cli("new", "endpoint", "--from-curl", tmp_path / "call.sh", "--sample", tmp_path / "s.json")

    assert "# Left out: tools." in done.out
    assert "# CHECK: other texts that could be the answer: res.output_text\n" in done.out
    assert "Not as in the command: body.tools" in done.out
    assert "only the sample's own word is known" in done.out


PASSES = """curl -s https://api.quill.example/v2/compose/fountain -H 'X-Quill-Pass: qw_test_12345' -d '{
  "preamble": "Answer in one line.", "prompt": "Reader: Who?\\n\\nWriter: Me.\\n\\nReader: And?\\n\\nWriter:",
  "length_cap": "200", "warmth": "0.70", "tag": "t"}'
"""
QUILL = {"ok": True, "job": "qc_17", "tier": "fountain", "ms": 412, "meter": {"read": 11, "wrote": 3},
         "drafts": [{"n": 1, "body": {"text": "George Eliot.", "lang": "en"}, "ended": "DONE"}]}  # fmt: skip


def test_an_api_with_words_of_its_own(cli: Cli, tmp_path: Path) -> None:
    """Numbers as text, the model in the path, a transcript's labels, an end and counts under rare names, a flag."""
    made = drafted(cli, tmp_path, PASSES, QUILL)

    request, response = made["request"], made["response"]
    assert ("/v2/compose/{model}", {"model": "=model.name"}) == (request["path"], request["path_params"])
    assert "=fixed(req.temperature, `2`)" == request["body"]["warmth"]
    assert request["body"]["length_cap"].startswith("=to_string(not_null(")
    assert ("=res.job", "=res.tier") == (response["id"], response["model"])
    assert "=res.drafts[0].ended" == response["finish_reason"]["$switch"]
    assert {"prompt_tokens": "=res.meter.read", "completion_tokens": "=res.meter.wrote"} == response["usage"]
    assert "=res.ok == `false`" == made["errors"]["refused"]["when"]
    tests = made["tests"]
    assert (
        "Reader: Who?\n\nWriter: Me.\n\nReader: And?\n\nWriter:"
        == tests["request-of-the-command"]["expect"]["wire"]["body"]["prompt"]
    )
    assert "fountain" == tests["request-of-the-command"]["given"]["request"]["model"]
    assert {"text": "George Eliot.", "finish_reason": "stop", "model": "fountain"}.items() <= tests[
        "reply-of-the-sample"
    ]["expect"]["result"].items()


def test_constants_and_what_is_missing_are_marked(cli: Cli, tmp_path: Path) -> None:
    """Each constant that was taken over says CHECK; what a sample does not show is a line to fill in."""
    drafted(cli, tmp_path, PASSES, {"text": "Ho."})

    text = (tmp_path / "mine" / "drafted.yaml").read_text()
    assert "    tag: t  # CHECK: a constant of the command\n" in text
    assert "  # not found in the command: top_p, stop; such a line is  top_p: =req.top_p\n" in text
    for part in ("id", "model", "finish_reason", "usage", "models"):
        assert f"# not found: {part}; if" in text
    assert "path: /v2/compose/fountain" in text
    released = cli("validate", "--release", tmp_path / "mine")
    assert (1, True) == (released.code, "warning[W404]: a draft's CHECK is still here" in released.out)


def test_system_messages_stand_in_one_place(cli: Cli, tmp_path: Path) -> None:
    """With a field of their own they are not in the prompt, too."""
    drafted(cli, tmp_path, PASSES, QUILL, "--id", "acme.chat")
    chat = {"model": "c", "messages": [{"role": "system", "content": "A."}, {"role": "user", "content": "hi"}]}
    (tmp_path / "request.json").write_text(json.dumps(chat))
    sent = cli("translate", "--dialect", "openai.chat", "--endpoint", "acme.chat", "--mappings", tmp_path / "mine",
               tmp_path / "request.json")  # fmt: skip

    assert ("A.", "Reader: hi\n\nWriter:") == (sent.json["body"]["preamble"], sent.json["body"]["prompt"])


# -- streams and tools

ASKS = """curl https://api.acme.example/say -H 'acme-key: $K' --json '{"model": "l", "prompt": "hi", "stream": true}'"""
COMMON_TOOLS = """curl https://api.acme.example/chat -H "Authorization: Bearer $K" --json '{
  "model": "l", "stream": true,
  "messages": [{"role": "user", "content": "hi"}], "tool_choice": "auto",
  "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]}'"""
NAMED_TOOLS = """curl https://api.acme.example/chat -H "acme-key: $K" --json '{"model": "l", "stream": true,
  "messages": [{"role": "user", "content": "hi"}], "tools": [{"name": "f", "schema": {"type": "object"}}]}'"""
DELTAS = """data: {"id":"c1","choices":[{"delta":{"role":"assistant","content":""},"finish_reason":null}]}

data: {"id":"c1","choices":[{"delta":{"content":"Hel"},"finish_reason":null}]}

data: {"id":"c1","choices":[{"delta":{"content":"lo"},"finish_reason":null}]}

data: {"id":"c1","choices":[{"delta":{},"finish_reason":"length"}],"usage":{"prompt_tokens":3,"completion_tokens":2}}

data: [DONE]

"""
CALL_DELTAS = DELTAS.replace(
    '"delta":{}', '"delta":{"tool_calls":[{"index":0,"id":"t1","function":{"name":"f","arguments":"{}"}}]}'
)
LINES = """{"message":{"content":"Hel"},"done":false}
{"message":{"content":"lo"},"done":false}
{"message":{"content":""},"done":true,"done_reason":"length","prompt_eval_count":3,"eval_count":2}
"""
TOTALS = """event: open\r
data: {"id":"c1"}\r
\r
event: reasoning\r
data: {"text":"Hm"}\r
\r
event: text\r
data: {"text":"Hel"}\r
\r
event: text\r
data: {"text":"Hello"}\r
\r
event: close\r
data: {"stop":"MAXED","usage":{"input":3,"output":2}}\r
\r
"""
BLOCKS = """data: {"type":"begin","message":{"id":"c1","usage":{"input_tokens":3}}}

data: {"type":"block","index":0,"block":{"type":"text","text":""}}

data: {"type":"more","index":0,"delta":{"type":"text","text":"Hel"}}

data: {"type":"more","index":0,"delta":{"type":"text","text":"lo"}}

data: {"type":"block","index":1,"block":{"type":"tool_use","id":"t1","name":"f","input":{}}}

data: {"type":"more","index":1,"delta":{"type":"input_json","partial_json":"{\\"a\\":"}}

data: {"type":"more","index":1,"delta":{"type":"input_json","partial_json":"1}"}}

data: {"type":"late","delta":{"stop_reason":"tool_use"},"usage":{"output_tokens":2}}

data: {"type":"over"}

"""
USE = {"type": "tool_use", "id": "t1", "name": "f", "input": {"a": 1}}
PARTS_OF_CALLS = {"content": [{"type": "text", "text": "Hm."}, USE], "stop_reason": "tool_use"}
USAGE = {"prompt_tokens": 3, "completion_tokens": 2}


@pytest.mark.parametrize(
    ("sample", "stream", "result"),
    [
        (DELTAS, {"framing": "sse", "done": "=ev.data == '[DONE]'"}, {"id": "c1", "finish_reason": "length"}),
        (LINES, {"framing": "ndjson"}, {"finish_reason": "length"}),
        (TOTALS, {"framing": "sse", "select": "=ev.event"}, {"id": "c1", "reasoning": "Hm", "finish_reason": "length"}),
        (BLOCKS, {"framing": "sse", "select": "=ev.json.type"}, {"id": "c1", "finish_reason": "tool_calls",
            "tool_calls": [{"id": "t1", "name": "f", "arguments": '{"a":1}'}]}),
    ],
    ids=["deltas", "lines", "totals", "blocks"],
)  # fmt: skip
def test_a_stream_is_drafted(
    cli: Cli, tmp_path: Path, sample: str, stream: dict[str, Any], result: dict[str, Any]
) -> None:
    """Framing, terminator, kinds of frames, pieces and totals; the sample is the first case."""
    made = drafted(cli, tmp_path, ASKS, sample)

    assert stream.items() <= made["stream"].items()
    assert "native" == made["capabilities"]["streaming"]
    assert "=ctx.stream" == made["request"]["body"]["stream"]
    case = made["tests"]["stream-of-the-sample"]
    assert sample.rstrip("\n") == case["given"]["stream"].rstrip("\n")
    assert {"text": "Hello", "usage": USAGE, **result} == case["expect"]["result"]


def test_without_a_key_for_it_the_endpoint_only_streams(cli: Cli, tmp_path: Path) -> None:
    """A sample of a stream alone, and nothing in the command that asks for one."""
    made = drafted(cli, tmp_path, ASKS.replace(', "stream": true', ""), LINES)

    assert "only" == made["capabilities"]["streaming"]
    assert "# CHECK: how is a stream asked for?" in (tmp_path / "mine" / "drafted.yaml").read_text()


@pytest.mark.parametrize(
    ("curl", "reply", "stream", "calls"),
    [
        (COMMON_TOOLS, CHAT, DELTAS, "=res.choices[0].message.tool_calls"),
        (COMMON_TOOLS, CHAT, CALL_DELTAS, "=res.choices[0].message.tool_calls"),
        (COMMON_TOOLS, None, CALL_DELTAS, "=res.choices[0].message.tool_calls"),
        (NAMED_TOOLS, PARTS_OF_CALLS, BLOCKS, "=res.content"),
        (NAMED_TOOLS, PARTS_OF_CALLS, None, "=res.content"),
    ],
)
def test_tools_are_drafted_where_samples_show_calls(
    cli: Cli, tmp_path: Path, curl: str, reply: Any, stream: str | None, calls: str
) -> None:
    """The offer in the command's form, the calls of replies and streams; a case offers one."""
    (tmp_path / "more.txt").write_text(stream or "")
    more = ("--sample", str(tmp_path / "more.txt")) if reply is not None and stream is not None else ()
    made = drafted(cli, tmp_path, curl, reply if reply is not None else stream, *more)

    assert "native" == made["capabilities"]["tools"]
    assert calls == made["response"]["tool_calls"]["$each"]
    wire = made["tests"]["request-of-the-command"]["expect"]["wire"]["body"]
    assert "f" in json.dumps(wire["tools"])
    if reply is PARTS_OF_CALLS:
        result = made["tests"]["reply-of-the-sample"]["expect"]["result"]
        assert ("Hm.", [{"id": "t1", "name": "f", "arguments": {"a": 1}}]) == (result["text"], result["tool_calls"])
    if stream is not None:
        assert "tool_call" in json.dumps(made["stream"])


def test_samples_are_one_reply_and_one_stream(cli: Cli, tmp_path: Path) -> None:
    """A second one of a sort, and what is neither, is told."""
    for name, text in (("call.sh", ASKS), ("a", LINES), ("b", LINES), ("c", "<html>")):
        (tmp_path / name).write_text(text)
    ask = ("new", "endpoint", "--from-curl", tmp_path / "call.sh", "--sample", tmp_path / "a", "--sample")

    assert "is a second stream; give one of each" in cli(*ask, tmp_path / "b").err
    assert "is neither JSON nor a stream" in cli(*ask, tmp_path / "c").err


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
