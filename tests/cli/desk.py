"""What the tests of the command line work with: a small endpoint, dialect and mock, and what a command did."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

ENDPOINT = """mapping: endpoint/1
id: acme.chat
base_url: https://api.acme.example/v1
options: {depth: {type: integer, default: 1}, tone: {type: string}}
secrets: {api_key: {env: ACME_API_KEY}}
auth: {bearer: =secret.api_key}
params: {temperature: {min: 0, max: 1}}
request:
  path: /chat
  headers: {x-depth: =opt.depth}
  body:
    model: =model.name
    messages: =req.messages
    temperature: =req.temperature
    tone: =opt.tone
response:
  text: =res.text
errors:
  failed: {status: [4xx, 5xx], raise: {message: =res.error}}
tests:
  request: {given: {}, expect: {body: {model: m, messages: [{role: user, content: hi}]}}}
  reply: {given: {reply: {body: {text: hello}}}, expect: {result: {text: hello}}}
"""
DIALECT = """mapping: dialect/1
id: acme.api
route: {path: /chat}
request: {model: =in.model, messages: =in.messages, temperature: =in.temperature}
response:
  body: {answer: =out.text}
errors:
  default: {body: {error: =err.message}}
"""
MOCK = """mapping: mock/1
id: acme.chat
serves: acme.chat
path: /chat
behaviours:
  default: {reply: {status: 200, body: {text: hello}}}
"""


@dataclass
class Outcome:
    """What a command did: exit code, standard output, standard error."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Cli = Callable[..., Outcome]
