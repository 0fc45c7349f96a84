# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#       jupytext_version: 1.19.6
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # How this book was run
#
# **Question.** Which command made each number in this book, when, on which machine, and with which
# packages?
#
# The book shows two kinds of results. Some notebooks train networks themselves, with the seed and the
# settings of their first cell. Longer measurements are made once by a script of `benchmarks/`; their
# tables are kept in `book/results/`, and the pages read them. Beside each table lies a file of the same
# name that says where it came from. This page collects all of that. Nothing on it is written by hand.

# %% tags=["parameters"]
folder: str = None  # not used here
profile: str = None  # not used here; it is accepted so that one command serves all

# %%
from asgml_core import tables
from asgml_core.book import about
from asgml_core.notebooks import Reading, settings

chosen = settings(globals(), Reading)

# %% [markdown]
# ## Tables
#
# Each row is one command and the tables it left, for every page that shows them or reads from them.
# *Runs* are trainings, where a table is made of whole trainings. *Seconds* are of computing, summed over
# the runs; with two workers the clock shows half of them. A `+` after a commit says that the package had
# changes that were not committed yet.

# %% tags=["NBVAL_CHECK_OUTPUT"]
tables.words(about.sources())

# %% [markdown]
# A word in capitals, such as `DIR`, stands for the folder of a download that is not part of the book. On
# another kind of processor the last bits of a training differ, and so may the last digits of a table.
#
# ## Notebooks
#
# Every notebook can be run by one command, and takes its parameters with `-p`. Those that train do so when
# the book is built, unless their stored outputs were made by the code as it is: `asgml book` compares a
# hash of the notebook's code, of the library that it uses and of its tables, and executes what does not
# fit. `asgml book --again` executes all. The last two columns are of the execution whose outputs are stored.

# %% tags=["NBVAL_CHECK_OUTPUT"]
tables.words(about.notebooks())

# %% [markdown]
# ## Machine
#
# This is the machine on which this page was executed last; the tables name theirs.

# %%
about.machine()

# %% [markdown]
# ## Packages
#
# `make setup` installs exactly the versions in `requirements.lock`. They are listed beside those found
# when this page was executed; `-` is a package that was not there.

# %%
import pandas as pd

versions = about.packages()
with pd.option_context("display.max_rows", None):
    display(versions)

# %%
different = versions[(versions["locked"] != versions["here"]) & (versions["here"] != "-")]
print(f"{len(different)} of {len(versions)} packages have another version than the lock.")

# %% [markdown]
# ## What this shows, and what it does not
#
# - It shows how to get each number again, and what it was made with.
# - It does not show that a number is right. For that there are the tests (`make test`), and on each page
#   the uncertainty beside the number.
# - A commit with a `+` cannot be brought back exactly. Tables made of runs name a second thing, in their
#   own files: the hash of the code that decides results.
