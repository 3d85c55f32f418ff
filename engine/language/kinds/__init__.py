"""One module per kind of mapping: what its sections are, and how they become a plan."""
