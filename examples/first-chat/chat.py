"""Ask one question with the OpenAI SDK: nothing but the base URL is particular to the engine."""

import os

import openai

client = openai.OpenAI(
    base_url=os.environ.get("BASE_URL", "http://127.0.0.1:8000/v1"),
    api_key=os.environ.get("ENGINE_API_KEY", "any"),
)

print("models:", ", ".join(model.id for model in client.models.list()))

answer = client.chat.completions.create(
    model=os.environ.get("MODEL", "openai/gpt-4o-mini"),
    messages=[
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "What is the capital of France?"},
    ],
)
print(answer.choices[0].message.content)
if answer.usage is not None:
    print(f"{answer.usage.total_tokens} tokens")

try:
    client.chat.completions.create(model="no/such-model", messages=[{"role": "user", "content": "hi"}])
except openai.NotFoundError as error:
    print("refused:", error.code)
