"""What a mapping may say: reading, checking and compiling YAML into plans."""
