"""How fast things are, against torch's own, in records."""
