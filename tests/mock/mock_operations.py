"""The chat operation of each endpoint, spoken the way that endpoint speaks."""

from __future__ import annotations

from dataclasses import dataclass

import httpx

from engine.types import Json, JsonObject

GOOD_KEY = {"authorization": "Bearer test-key"}
PATHS = {
    "straico.prompt.v0": "/v0/prompt/completion",
    "straico.prompt.v1": "/v1/prompt/completion",
    "straico.chat.v0": "/v0/chat/completions",
    "straico.chat.v2": "/v2/chat/completions",
}


@dataclass(frozen=True)
class Operation:
    """The chat operation of one endpoint, spoken the way that endpoint speaks."""

    endpoint: str
    url: str
    client: httpx.Client

    @property
    def takes_prompt(self) -> bool:
        return "prompt" in self.endpoint

    @property
    def success(self) -> int:
        return 201 if self.takes_prompt else 200

    def body(self, *texts: str, model: str = "openai/gpt-4o-mini") -> JsonObject:
        """A body of user and assistant texts in turn."""
        named: JsonObject = {"models": [model]} if self.endpoint == "straico.prompt.v1" else {"model": model}
        roles = [("user", "assistant")[index % 2] for index in range(len(texts))]
        if self.takes_prompt:
            turns = [f"<{role}>{text}</{role}>" for role, text in zip(roles, texts, strict=True)]
            return {**named, "message": "".join(turns)}
        return {**named, "messages": [{"role": r, "content": t} for r, t in zip(roles, texts, strict=True)]}

    def ask(self, *texts: str, force: str | None = None) -> httpx.Response:
        headers = {"x-mock": force} if force else {}
        return self.client.post(self.url, json=self.body(*texts), headers=headers)

    def completion(self, response: httpx.Response) -> Json:
        """The OpenAI-like object inside an answer."""
        content = response.json()
        if self.endpoint == "straico.prompt.v0":
            return content["data"]["completion"]
        if self.endpoint == "straico.prompt.v1":
            return next(iter(content["data"]["completions"].values()))["completion"]
        return content

    def text(self, response: httpx.Response) -> Json:
        assert response.status_code == self.success, response.text
        return self.completion(response)["choices"][0]["message"]["content"]
