"""Paired Seeds: what the notebooks call, in rooms that a reader can hold in the head."""
