"""Whether an environment and a machine can be trusted: what is installed, what each framework loads, what it computes.

Each framework is asked in a process of its own, by the `probe` module of its room.
"""
