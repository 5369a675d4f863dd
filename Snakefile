# One job a run. Which runs are pending is read from their records by `lib.sweep`, which asks for them by name:
#   make sweep STUDY=stage1
# By itself, this file asks for every record of a study that is not there:
#   snakemake --cores all --config study=stage1
# On a cluster the same file runs through an executor plugin: make sweep STUDY=stage2 OPTIONS="--executor slurm --jobs 8"

import sys

from lib.params import load_study

study = load_study(config["study"])


rule all:
    input:
        [f"executed/{cell.name}/record.json" for cell in study.cells],


# A run takes the whole machine: two trainings at once would falsify each other's times.
rule train:
    output:
        "executed/{run}/record.json",
    threads: workflow.cores
    shell:
        "{sys.executable:q} -m lib.cell {study.name} {wildcards.run}"
