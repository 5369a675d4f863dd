# One job a run. Which runs are pending is read from their records by `lib.sweep`, which asks for them by name:
#   make sweep STUDY=stage1
# By itself, this file asks for every run of a study that is pending:
#   snakemake --cores all --forceall --config study=stage1
# The declared output is not the record but an empty file that says only that the job is over: Snakemake removes the
# output of a job that failed, and will not go on where it was killed in the middle of one. A record is not its to lose.
# On a cluster the same file runs through an executor plugin: make sweep STUDY=stage2 OPTIONS="--executor slurm --jobs 8"

import sys

from lib import processes
from lib.study.params import load_study
from lib.sweep.plan import pending

study = load_study(config["study"])
rerun = config.get("rerun") or ""


# Snakemake itself would wait for the running jobs, which may take hours.
onstart:
    processes.interrupt_on_signals(processes.terminate_children)


rule all:
    input:
        [f"executed/.over/{cell.name}" for cell, _ in pending(study, rerun)],


# A run takes the whole machine: two trainings at once would falsify each other's times.
rule train:
    output:
        touch("executed/.over/{run}"),
    params:
        command=processes.bound([sys.executable, "-m", "lib.sweep.cell", study.name]),
    threads: workflow.cores
    shell:
        "exec {params.command:q} {wildcards.run} --rerun={rerun:q}"
