"""The operators of the language, one subject per file. Importing this package registers them all."""

from engine.language.operators import choose, fail, lists, objects, text

__all__ = ["choose", "fail", "lists", "objects", "text"]
