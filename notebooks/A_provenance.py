# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Provenance: where do these numbers come from?
#
# The records say by which code, from which data, on which machine and when each run was made; this chapter shows what
# they hold, and where the numbers behind each table are. `make archive` packs all of it into one file, with a checksum
# for each part, and `make verify` makes the report again from that file and compares the two.

# %% tags=["parameters"]
study_name = "quickstart"

# %% tags=["setup"]
from lib.report import provenance
from lib.report.chapter import Chapter
from lib.report.tables import shown
from lib.study.loading import load_study

chapter = Chapter(study_name)

# %% [markdown]
# ## Code
#
# A run is made by a part of the code: the protocol, its framework's side, and its model's family. The digest of that
# part is a SHA-256 of the parsed sources, so that comments do not count. A run whose digest is not that of today was
# made by other code than that of this report.

# %%
study = load_study(study_name)
runs, codes = provenance.runs(study), provenance.codes(study)
chapter.markdown(provenance.code())

# %%
if len(runs):
    caption = "The digests of the code that made the runs, and whether it is the code of this report."
    chapter.markdown(
        "[Table](#tbl-code_digests) has a row for each digest: one for each framework and family of models if their "
        "code did not change between the runs."
    )
    chapter.table(shown(codes, codes.columns), "code_digests", caption)

# %% [markdown]
# ## Data
#
# The digest of a dataset in [Table](#tbl-data_digests) is a SHA-256 of all its arrays: images, labels and splits. It
# does not depend on where the images came from.

# %%
data = provenance.data(study)
chapter.table(shown(data, data.columns), "data_digests", "The datasets, as they are prepared here.")

# %% [markdown]
# ## Runs in their order
#
# Where runs that overlap in time shared a machine, their speeds are not those of runs alone. Times are in UTC. A
# duration is that of a run without its pauses.

# %%
if len(runs):
    chapter.markdown("[Table](#tbl-run_times): the environment is a column of [Table](#tbl-run_environments).")
    caption = "The runs in the order in which they began."
    chapter.table(shown(runs, runs.columns), "run_times", caption)
else:
    chapter.markdown("**Nothing has been run yet.**")

# %% [markdown]
# ## Settings
#
# The digest of a run's settings is a SHA-256 of all its resolved parameters and of its dataset's digest: two runs with
# the same digest were made from the same inputs.

# %%
digests = provenance.inputs(study)
if len(runs):
    chapter.markdown("[Table](#tbl-input_digests) has them in full.")
    chapter.table(shown(digests, digests.columns), "input_digests", "The digests of the runs' settings and data.")

# %% [markdown]
# ## Machines and versions

# %%
environments = provenance.environments(study)
if len(runs):
    chapter.markdown("[Table](#tbl-run_environments): with one column, all runs had the same machine and versions.")
    caption = "The distinct environments of the runs, each in a column, by the number that the table of runs uses."
    chapter.table(shown(environments, environments.columns), "run_environments", caption)

# %% [markdown]
# ## Tables as files
#
# Each table of the report is saved at full precision as a CSV file beside it, in the folder of the study. The tables of
# the appendices are in the same folder.

# %%
chapter.markdown(provenance.tables(study) or "The chapters have saved no table.")

# %% [markdown]
# ## How to cite, and licence

# %%
chapter.markdown(f"~~~\n{provenance.citation(study)}\n~~~")

# %%
chapter.markdown(
    f"The code and this report are under the {provenance.licence()} licence (the file `LICENSE` of the project). The "
    "datasets have terms of their own."
)

# %% [markdown]
# ## What was found

# %%
chapter.markdown(provenance.finding(study))
