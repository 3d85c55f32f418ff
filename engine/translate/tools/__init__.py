"""Tool calls in a model's text: the compiled formats, the incremental reader, and what marks them in a prompt."""
