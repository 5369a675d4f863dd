"""Checks of an environment and a machine: installed packages, loaded libraries, and what each framework computes.

Each framework runs the `probe` module of its room in a process of its own.
"""
