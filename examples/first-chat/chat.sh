#!/usr/bin/env bash
# Ask one question over plain HTTP. BASE_URL is where the engine listens, MODEL whom to ask.
set -euo pipefail
base_url=${BASE_URL:-http://127.0.0.1:8000/v1}
model=${MODEL:-openai/gpt-4o-mini}
curl -sS --fail-with-body "$base_url/chat/completions" \
  -H 'content-type: application/json' \
  -H "authorization: Bearer ${ENGINE_API_KEY:-any}" \
  -d '{
    "model": "'"$model"'",
    "messages": [
      {"role": "system", "content": "Be brief."},
      {"role": "user", "content": [{"type": "text", "text": "What is the capital of France?"}]}
    ],
    "max_tokens": 50
  }'
echo
