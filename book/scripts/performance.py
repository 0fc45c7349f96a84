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
# # What training costs
#
# **Question.** How long does a training step take, where does its time go, what does balancing add, and how
# far is all that from what the machine could do?
#
# Speed depends on the machine, and on what else runs there. So the numbers on this page are first of all
# *ratios*: two things are timed in turn, step by step, in one process on the same tensors, and each ratio is
# of two steps of the same turn. A busy moment then hits both. Seconds stand beside them, with the machine
# they were taken on. Everything is given as the median, with the quartiles as `low` and `high`, over the
# number of times in the column `n`.
#
# Nothing is timed here. The tables are read; each was made by one script of `benchmarks/`, named at the
# end of its section, and can be made again on your machine. To show your own tables, run the scripts with
# `--results mine` and the notebook with `-p folder mine`.

# %% tags=["parameters"]
folder: str = None  # of the tables; None: the book's
profile: str = None  # not used here; it is accepted so that one command serves all

# %%
from pathlib import Path

from asgml_core import figures, results, tables
from asgml_core.notebooks import Reading, settings

chosen = settings(globals(), Reading)
at = Path(chosen.folder).expanduser() if chosen.folder else results.folder()

# %% [markdown]
# ## A step, beside other people's
#
# The same data, the same networks (two ResNet18 encoders of width 64, 64 x 64 inputs, batch 64), the same
# learning rate, momentum and weight decay. Four ways of taking the step:
#
# - *official*: the training loop of OGM-GE {cite}`peng2022balanced`, unmodified, as its authors published
#   it.
# - *plain loop*: what one writes after a tutorial, with our encoders; it never modulates.
# - *ours, same work*: this package's trainer with the official head, loss and noise. On top of the others
#   it records, on every step, the norm of each encoder's gradient before and after modulation and how far
#   the weights moved, and it checks every loss.
# - *ours, the study's*: the same with the study's head and its unimodal losses.

# %%
step = results.read("step", at)
step.index = step["implementation"] + ", " + step["precision"]
columns = ["mode", "n", "times official", "times official, low", "times official, high"]
tables.shown(step[columns])

# %% tags=["hide-input"]
figure = figures.speed_ratios(step, "times official", "times as fast as the official loop", "mode")
caption = "Times as fast as the official loop, medians of steps taken in turn with quartiles; n is in the table above."
figures.save(figure, "performance/step", caption)

# %% [markdown]
# Above 1 is faster. Read the three panels from left to right: without modulation the loops do the same
# arithmetic, and what differs is how it is laid out and how often Python waits for a number. With OGM the
# official loop takes a softmax of the whole batch for each item of the batch, and with OGM-GE it draws noise
# for every weight and reads forty standard deviations back, one by one. Most of our lead is in one place:
# the last stages of the networks have maps of 4 x 4 and 2 x 2, where a 3 x 3 kernel mostly meets padding, and
# there each place is a matrix product of what it sees (`asgml_core.convolution`).
#
# `bf16` halves the bytes of the network's passes and uses other instructions; whether that is faster depends
# on the processor. Here it is slower: matrix products in it reach half the speed of float32, as the
# peaks further down show. It is another arithmetic, and a run in it ends with other bits.
#
# The telemetry is a price that only our rows pay. The next section shows how large it is. In seconds:

# %%
tables.shown(step[["mode", *[c for c in step if c.startswith("samples a second")]]], digits=1)

# %% tags=["hide-input"]
results.provenance("step", at)

# %% [markdown]
# Layer by layer, forward and backward in turn with torch's own, at inputs of 64 x 64 and a batch of 64. Narrow
# networks win little, and the third stage only where it is wide: below 128 channels it is left to torch.

# %%
small = results.read("small_maps", at).set_index(["width", "layer"])
tables.shown(small[["n", *[c for c in small if c.startswith("times as fast")]]])

# %% tags=["hide-input"]
results.provenance("small_maps", at)

# %% [markdown]
# ## Does bfloat16 learn the same?
#
# The study's baseline on GRID, five seeds, each in both precisions from the same first weights with the
# same order of batches: test accuracy in per cent at the epoch chosen on validation and at the last.

# %%
precision = results.read("precision_grid", at).set_index("seed")
tables.shown(precision, digits=2)

# %%
apart = precision[["validation, difference", "last, difference"]]
tables.shown(apart.agg(["mean", "sem"]), digits=2)

# %% [markdown]
# `mean` is of the five differences, bf16 less fp32, and `sem` its standard error. With five, a 95 % interval
# reaches 2.8 of them to each side. One test word is .25 points. On average, two seeds
# of one precision are further apart than the two precisions of one seed.

# %% tags=["hide-input"]
results.provenance("precision_grid", at)

# %% [markdown]
# ## Where the time of a step goes
#
# A profiler notes when each operator begins and ends. Each counts with its own time alone, in the class it
# belongs to, so the shares add up to the step. `square` is the step from above; `grid` are the small
# inputs and the narrow network with which this book trains on words of the GRID corpus ({doc}`grid`).

# %%
profile = results.read("profile_step", at)
profile.index = profile["shapes"] + ", " + profile["method"] + ", " + profile["precision"]
first = profile.columns.get_loc("n") + 1
classes = list(profile.columns[first : profile.columns.get_loc("seconds")])

# %% tags=["hide-input"]
caption = "Where the time of a training step goes, by kind of work; one profile each."
figures.save(figures.shares_of_step(profile, classes), "performance/shares", caption)

# %% [markdown]
# Convolutions are the work that must be done; their share is what there is to lose. A class that goes with the
# *weights* (optimizer, modulation, telemetry) costs the same whatever the batch, so its share falls as items
# grow; a class that goes with the *activations* (normalisation, activation, pooling) grows with them. In the
# small network the same number of operators has less to do, and what Python needs to call them comes to
# light.

# %%
tables.shown(profile[["n", *classes, "seconds", "slower"]], digits=1)

# %% [markdown]
# `slower` is how many times longer a profiled step takes than one without the profiler: where it is far from 1,
# the shares are those of a disturbed step, and small operators look larger than they are.

# %% tags=["hide-input"]
results.provenance("profile_step", at)

# %% [markdown]
# ## What each method adds
#
# Here every method works in a loop of one's own, and the time inside its hooks is compared with the rest
# of the same step, in per cent. A method that reads probes does so on some batches only; the last column weighs
# them as in an epoch of the study. The two rows of telemetry are of our own trainer: where a method edits
# gradients, a second optimizer follows what would have been without it.

# %%
overhead = results.read("overhead", at).set_index("method")
tables.shown(overhead)

# %% [markdown]
# The same at the size of CREMA-D, 224 x 224 pictures and spectrograms of 257 x 188, in smaller batches. Most of
# what a method does goes with the weights, and the weights are as many as before, while the items are a
# dozen times as large: so the shares are smaller, and at the study's batch of 64 they would be smaller
# still.

# %%
tables.shown(results.read("overhead_cremad", at).set_index("method"))

# %% [markdown]
# And at that batch, the dearest ones: noise, which draws a normal number for every weight, and staleness, which
# keeps copies of gradients. A run of ours pays a method and the telemetry.

# %%
tables.shown(results.read("overhead_cremad_64", at).set_index("method"))

# %% tags=["hide-input"]
results.provenance("overhead_cremad", at)

# %% [markdown]
# ## How a run grows
#
# From a base run one number is changed at a time, and a line is fitted to the logarithms: its slope is the
# power with which the cost grows. 1 means in proportion, 2 with the square, 0 not at all. `±` is the standard
# error of the slope.

# %%
scaling = results.read("scaling", at)
fits = results.read("scaling_exponents", at)
tables.shown(fits)

# %% tags=["hide-input"]
caption = "Time of a step against each size of the problem, medians with quartiles, and a fitted power."
figures.save(figures.scaling(scaling, fits), "performance/scaling", caption)

# %% [markdown]
# An exponent below 1 for epochs or clips is a cost that is paid once; one above 1 would be a leak. Each
# modality brings an encoder of its own. The number of clips is the same whatever the batch, so a batch size
# that did not matter would have exponent 0. Convolutions of a network twice as wide take about four times as many
# multiplications; an exponent below 2 says that a narrow network does not fill the machine. Where the
# points leave their line, no single power holds, and the standard error says so.
#
# How much of the machine is used? The multiplications and additions of convolutions and matrix products, counted
# one by one, over the time, and that over the speed of large square matrix products, the best case
# on the same threads (for bf16 that of the faster precision). A convolution that does not multiply
# the zeros of its padding is counted as if it did, so where the maps are small a share can pass 100 %.

# %%
roofline = scaling.set_index(["axis", "value", "precision"])
tables.shown(roofline[["% of roofline", "GFLOP a step", "GFLOP/s", "seconds", "n"]])

# %%
tables.shown(results.read("matmul_peaks", at), digits=0)

# %% tags=["hide-input"]
results.provenance("scaling", at)

# %% [markdown]
# ## What the study costs
#
# The study has 87 runs of 100 epochs on 6698 clips. Some steps and some evaluations are timed on random data
# in CREMA-D's shapes, cropped and resized on the device as in training, and scaled up. This is a
# forecast: a whole run has checkpoints and probes, too, and a device that is warm.

# %%
import pandas as pd

names = sorted(path.stem for path in at.glob("study_cost*.csv"))
costs = pd.concat([results.read(n, at).assign(on=results.provenance(n, at)["device"]) for n in names])
costs.index = costs["on"] + ", " + costs["execution"] + ", " + costs["precision"]
wanted = ["batch", "n", "% of roofline", "seconds a step", "seconds a run", "hours for 87 runs"]
tables.shown(costs[wanted], digits=1)

# %% tags=["hide-input"]
caption = "Hours for the study's 87 runs: measured (dot, with quartiles), and convolutions alone at the speed of large products (diamond)."
figures.save(figures.study_costs(costs), "performance/study_costs", caption)

# %% [markdown]
# The diamond is the time of the convolutions and matrix products alone, at the speed that the device reaches in
# large products of the same precision. Nothing that trains this network with these numbers of clips can
# be faster than that. The way from the diamond to the dot is everything else: normalisation and activation,
# which move bytes and multiply little; augmentation; the optimizer; Python.

# %% tags=["hide-input"]
results.provenance(names[0], at)

# %% [markdown]
# ## Starting, and loading
#
# What one waits for before the first step: each line is a process of its own.

# %%
tables.shown(results.read("startup", at).set_index("what"))

# %% [markdown]
# The help of the command line does not load PyTorch; a run cannot do without. `seconds beyond torch` is what
# is imported on top of it. How long decoded data take to load, beside the usual way of decoding every item in
# every epoch, is told on the page {doc}`data_overview`.

# %% tags=["hide-input"]
results.provenance("startup", at)

# %% [markdown]
# ## What this shows, and what it does not
#
# - It compares loops on the same work, on one machine. Another machine has other ratios: other
#   instructions, other memory.
# - The official loop was written to be read beside a paper, and on GPUs with 32 loading processes. That it
#   waits for numbers matters more there than here; that it decodes every item anew is not in these steps.
# - These are numbers of a CPU. `python benchmarks/gpu.py` checks a GPU against the CPU and then measures steps,
#   runs and several runs at once there; no GPU has been measured yet.
# - A faster step is no better method. What a method does to accuracy is on the other pages.
#
# ```{admonition} Exercise
# :class: tip
# From the shares above: how much faster would a step be if modulation and telemetry cost nothing? And if
# convolutions were twice as fast?
# ```
#
# ```{admonition} Answer
# :class: dropdown
# With a share $s$ of the time made $k$ times faster, the step is $1 / (1 - s + s/k)$ times as fast. For
# modulation and telemetry $k$ is infinite and $s$ their two shares; for convolutions $k = 2$. The larger
# gain is where the larger share is, which is why a profile comes before any change.
# ```
