#!/usr/bin/env bash
# List the models, then show one of them. BASE_URL is where the engine listens, MODEL which one to show.
set -euo pipefail
base_url=${BASE_URL:-http://127.0.0.1:8000/v1}
model=${MODEL:-openai/gpt-4o-mini}
curl -sS --fail-with-body "$base_url/models" -H "authorization: Bearer ${ENGINE_API_KEY:-any}"
echo
curl -sS --fail-with-body "$base_url/models/$model" -H "authorization: Bearer ${ENGINE_API_KEY:-any}"
echo
