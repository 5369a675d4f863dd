# One job a run. `lib.sweep` reads from the records which runs are pending, and asks for them by name:
#   make sweep STUDY=stage1
# By itself, this file asks for every pending run of a study:
#   snakemake --cores all --forceall --config study=stage1
# The declared output of a job is an empty file, and not the record: Snakemake removes the output of a job that failed or
# was killed.
# On a cluster the same file runs through an executor plugin: make sweep STUDY=stage2 PROFILE=slurm

import sys

from lib import processes
from lib.runs.state import Choice, pending, states
from lib.study.loading import load_study
from lib.study.order import in_turn

study = load_study(config["study"])
turns = {cell.name: turn for turn, cell in enumerate(reversed(in_turn(study, study.cells)), start=1)}
rerun = config.get("rerun") or ""
over = config.get("over", "executed/.over/by-hand")
at_once = config.get("at_once", 1)


# Without this, Snakemake waits for the running jobs, which may take hours. A second interrupt while it ends, which may
# take longer than `processes.end_group` waits before it repeats a signal, would make it print a traceback.
onstart:
    processes.interrupt_on_signals(processes.terminate_children, once=True)


rule all:
    input:
        lambda _: [f"{over}/{cell.name}" for cell, _ in pending(states(study.cells), Choice(rerun))],


# A run takes a slot of its machine, and waits for one: of two trainings in one slot, each would falsify the other's
# times. `at_once` is the number of slots; 0 on a cluster, whose scheduler divides the machines. Of the waiting jobs
# Snakemake starts those of the highest priority, which is above 0, and the others by chance.
rule train:
    output:
        touch(over + "/{run}"),
    priority: lambda wildcards: turns[wildcards.run]
    params:
        command=processes.bound([sys.executable, "-m", "lib.sweep.cell", study.name, f"--at-once={at_once}"]),
    shell:
        "exec {params.command:q} {wildcards.run} --rerun={rerun:q}"
