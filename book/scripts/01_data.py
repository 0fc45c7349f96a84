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
# # The data
#
# **Question.** What do the networks of this book look at, how is it split, and does one modality
# really keep the other from learning?
#
# Every dataset becomes the same thing: named modalities, class names, an id and a group for each
# item (its speaker or clip), and a train, a valid and a test part. The validation part is held out
# of the training part by whole groups, so that no speaker or clip is on both sides.

# %% tags=["parameters"]
seed: int = 42
dataset: str = "synth"  # synth, grid or arrays
profile: str = None  # None: the dataset's default
epochs: int = None  # not used here; it is accepted so that one file of parameters serves all
data: str = None  # a file or folder; None: looked for in the data folders
device: str = "cpu"
workers: int = None
outputs: str = None
again: bool = False

# %%
from asgml_core.notebooks import settings

chosen = settings(globals())

# %% tags=["NBVAL_CHECK_OUTPUT"]
from asgml_core import datasets, figures, results, tables

items = datasets.load(chosen.base())
tables.parts(items)

# %% [markdown]
# ## Faces and voices drawn by code
#
# `synth`, the default, needs no download and has no licence and no privacy to respect. It has the six
# emotions of CREMA-D {cite}`cao2014cremad` in OGM-GE's label order: neutral, happy, sad, fearful,
# disgusted, angry. A face is moved by the action units that an emotion calls for, a voice by its
# pitch, range, slope, loudness, brightness, rate, breath and tremor. Without anything else, this is
# what they look like. Spectrograms run from low frequency at the bottom to high at the top.

# %% tags=["hide-input"]
caption = "Drawn data without anything but the emotion: the six faces and voices. Each moves what its emotion calls for."
figures.save(figures.emotions(), "01_data/emotions", caption)

# %% [markdown]
# In the data set everything else varies too: who it is, where the head is and how it is turned, the
# light, the words, the noise. Two items of each class, as the networks get them:

# %% tags=["hide-input"]
caption = f"{chosen.shown}: two items of each class, as the networks get them. What the class is cannot be seen at a glance."
figures.save(figures.examples(items), "01_data/examples", caption)

# %% [markdown]
# Every speaker has the same number of items of each class, and speakers of the test part speak
# nowhere else. How much an emotion moves a face and a voice is drawn for each item, and for the two
# modalities independently.

# %% [markdown]
# ## How many of each class

# %% tags=["NBVAL_CHECK_OUTPUT"]
tables.classes(items)

# %% [markdown]
# ## A knob for each modality
#
# `audio_signal` and `visual_signal` say how much the emotion moves the voice and the face. At 0 a
# modality says nothing about the label; the default is 1. Below, the same faces from 0 to 1.

# %% tags=["hide-input"]
caption = "Drawn data, one face at five levels of visual_signal: at 0 the picture says nothing about the label."
figures.save(figures.knob("visual_signal", seed=chosen.seed), "01_data/visual_signal", caption)

# %% tags=["hide-input"]
caption = "Drawn data, one voice at five levels of audio_signal: at 0 the sound says nothing about the label."
figures.save(figures.knob("audio_signal", seed=chosen.seed), "01_data/audio_signal", caption)

# %%
knobs = results.read("synth_knobs")
caption = "Drawn data, one network of one modality a point, 5 seeds: what each knob does to what can be learned alone."
figures.save(figures.knobs(knobs), "01_data/knobs", caption)

# %% [markdown]
# One network of each modality alone, at each level, over the five seeds: at 0 it guesses, and it
# gains with every step. `benchmarks/synth_phenomenon.py` measures this.

# %% [markdown]
# ## Does it show what the study is about?
#
# The study starts from an observation: trained jointly, the modality that learns first lowers the
# loss, and the other, which would learn well alone, is left behind. The same
# script measures this on the profile that the other notebooks use, over five seeds. Its table is
# read here; the accuracies are in per cent, mean and sample standard deviation over the seeds.

# %% tags=["NBVAL_CHECK_OUTPUT"]
measured = results.read("synth_phenomenon")
tables.shown(tables.phenomenon(measured))

# %% [markdown]
# *Alone* is the test accuracy of one encoder trained by itself. *After joint training* is what a
# linear probe reads from the frozen encoder after training with the fused loss only, at the last
# epoch; the probe is refitted on the whole training part. The difference is what joint training
# left unlearned. The last column is the same with the unimodal losses, the study's baseline.

# %% tags=["hide-input"]
caption = "Drawn data, 5 seeds: joint training leaves the picture unlearned, and the unimodal losses bring most of it back."
figures.save(figures.phenomenon(measured), "01_data/phenomenon", caption)

# %% [markdown]
# ## What this shows, and what it does not
#
# - Joint training leaves the picture unlearned although nothing is wrong with the picture: alone, the
#   same encoder learns it with the same epochs and learning rate.
# - The data are drawn, so they show that the mechanism exists, not how large it is on real faces.
#   {doc}`grid` is about real ones.
# - The unimodal losses, which every arm of the study carries, undo most of it by themselves. A method
#   that balances on top of them has little left to gain here.
#
# ```{admonition} Exercise
# :class: tip
# Set `visual_signal` to 2. Which modality is left behind then?
# `asgml_core.datasets.synth(seed=0, visual_signal=2.0)` draws the data.
# ```
#
# ```{admonition} Answer
# :class: dropdown
# Whichever lowers the loss first takes the gradient. Measure it: the arms `audio_only`, `visual_only`
# and `joint_only` of `asgml_core.study.config` are the three runs you need, and each record holds the
# refitted probes.
# ```

# %% [markdown]
# ## Your own data
#
# An `.npz` file, or a folder of `.npy` files, and a manifest of a few lines. Every array has one row
# per item; labels are whole numbers from 0.

# %% tags=["NBVAL_CHECK_OUTPUT"]
import tempfile
from pathlib import Path

import numpy as np

folder = Path(tempfile.mkdtemp())
draw = np.random.default_rng(seed)
np.savez(
    folder / "mine.npz",
    audio=draw.normal(size=(60, 1, 32, 32)),
    text=draw.normal(size=(60, 20)),
    labels=np.arange(60) % 2,
    groups=np.array([f"speaker{i // 6}" for i in range(60)]),
)
manifest = "classes: [calm, upset]\nmodalities: [audio, text]\ntest_fraction: 0.3\n"
(folder / "mine.yaml").write_text(manifest)
mine = datasets.arrays(seed=seed, path=str(folder / "mine.npz"))
tables.parts(mine)

# %% [markdown]
# The same path goes to a notebook, `-p dataset arrays -p data mine.npz`, and to the command line,
# `asgml run boost_ogm --dataset arrays --data mine.npz`. What does not fit is refused by name:

# %% tags=["NBVAL_CHECK_OUTPUT"]
(folder / "mine.yaml").write_text(manifest.replace("text", "txt"))
try:
    datasets.arrays(seed=seed, path=str(folder / "mine.npz"))
except datasets.DataError as error:
    print(str(error).replace(str(folder), "..."))

# %% [markdown]
# ## Where these numbers come from

# %%
results.provenance("synth_phenomenon")
