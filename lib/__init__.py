"""Paired Seeds: the code that the notebooks call, divided into rooms; the README lists them."""
