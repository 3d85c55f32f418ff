"""endpoint-engine: a declarative translation engine for LLM endpoints."""

__version__ = "0.1.0"
