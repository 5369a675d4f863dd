"""Snakemake's command line, which ends with one word where it is interrupted: `python -m lib.sweep.snakemake`.

Snakemake itself would print a traceback. `lib`, which is imported first, prevents that.
"""

from snakemake.cli import main

if __name__ == "__main__":
    main()
