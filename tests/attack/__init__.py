"""Attacks on the command line: damage and malice, each made small, run in numbers, and counted.

`python -m attack` (or `make attack`) runs them all and writes the table; `test_attack.py` runs a
few of each. A maker gives `Case`s; to attack something new, write one and name it in `plan.py`.
"""
