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
# # From a download to a batch
#
# **Question.** What happens to a film and its sound on their way to a network? What is chosen, what is
# repeated, what is thrown away, and what goes missing without a word?
#
# The example is CREMA-D {cite}`cao2014cremad`. By default nothing is downloaded: a *miniature* is drawn,
# with the folders, names and formats of the download, and with the faces and voices of `synth`
# ({doc}`01_data`). Its numbers say how the steps work, and nothing about CREMA-D. The same notebook takes
# the real thing:
#
# ```bash
# papermill book/real_data.ipynb out.ipynb -f params/real_data/cremad.yaml \
#     -p source ~/CREMA-D -p cache data/cremad
# ```
#
# Where to get it is on the page {doc}`cremad`. The executed notebook then shows the actors' faces, so
# what the licence says of the data holds for it too.

# %% tags=["parameters"]
seed: int = 42
profile: str = None  # demo or smoke: what None means below; None: demo
source: str = None  # CREMA-D as downloaded; None: a miniature, drawn by code
cache: str = None  # where the cache goes; None: among the outputs
splits: str = None  # folder of train.csv and test.csv; None: the miniature's
split: str = "speakers_0"  # which split to train on
frames: int = 3  # kept of each clip
choose: str = "even"  # which: first, even or random
size: str = None  # height and width to keep; None: 180x240; the films are 360x480
pixels: int = None  # height and width that the network sees; None: 112
width: int = 8  # of the encoders; the study's is 64
epochs: int = 1
device: str = "cpu"
workers: int = 0  # processes that decode; 0: this one; None: one per core
outputs: str = None  # None: outputs/real_data
again: bool = False  # compute anew what is there already

# %%
from asgml_core.notebooks import settings
from asgml_core.real_data import RealData

chosen = settings(globals(), RealData)

# %% [markdown]
# ## What a download looks like

# %%
from asgml_core import datasets, figures, tables

source = chosen.download()
tables.folders(source)

# %% [markdown]
# A clip is two files of one name. `1001_DFA_ANG_XX` is actor 1001, the sentence *Don't forget a jacket*,
# anger, at a level that was left open. The label stands in the name and nowhere else. The folder `split`
# is not part of the official download; it is that of the split files that papers share.
#
# ## Prepare: decode once, and say a word on every file
#
# Downloads break off. To see what happens then, one film of the miniature is cut in half.

# %%
if chosen.source is None:
    film = source / "VideoFlash" / "1003_DFA_FEA_XX.flv"
    whole = film.read_bytes()
    film.write_bytes(whole[: len(whole) // 2])

# %% [markdown]
# Preparing decodes every clip once and writes what a network needs into a *cache*: some frames as
# pictures, the sound as a spectrogram. On the command line it is `asgml data prepare cremad`.

# %% tags=["remove-output"]
cache = chosen.prepare(source)

# %% [markdown]
# The cache's report has a line for every file that failed, that was left aside, or that has something
# odd about it:

# %%
tables.words(tables.report(cache))

# %% [markdown]
# Many loaders skip a file that they cannot find, so a run on half a download looks like any other. Here,
# a split with a missing item is refused. (A real download without a fault passes, and prints nothing.)

# %% tags=["NBVAL_CHECK_OUTPUT"]
import textwrap

options = {"seed": 0, "path": str(cache.folder), "split": chosen.split}
try:
    datasets.cremad(**options)
except datasets.DataError as error:
    print(textwrap.fill(str(error).replace(str(cache.folder), "cache"), 78))

# %% [markdown]
# Who wants to go on without it says so. The record of every run then names what was missing:

# %% tags=["NBVAL_CHECK_OUTPUT"]
lacking = datasets.cremad(**options, allow_missing=True)
lacking.notes["missing"]

# %% [markdown]
# ## Mend, and go on
#
# Better is to fetch the film once more and to give the same command again. What was decoded stays;
# what failed is tried anew.

# %% tags=["remove-output"]
if chosen.source is None:
    film.write_bytes(whole)
cache = chosen.prepare(source)

# %% tags=["NBVAL_CHECK_OUTPUT"]
cache.manifest["counts"]

# %% [markdown]
# `verify` reads every row again and compares it with its hash, and every source file with what it was
# when it was decoded. It returns what it finds, so an empty list is good news:

# %% tags=["NBVAL_CHECK_OUTPUT"]
from asgml_core.preparing.verify import verify

verify(cache.folder, source, progress=False)

# %%
tables.arrays(cache)

# %% [markdown]
# Pictures are kept as bytes, `frames x height x width x 3`, and spectrograms as they are computed,
# `1 x frequencies x times`. Nothing random is in the cache: what augmentation draws, it draws in training.
#
# ## Look at it
#
# One clip of each emotion: the kept frames side by side, and below them the sound. `asgml data show`
# makes the same picture of any cache. A mixed-up label or a picture upside down is found by eye, and by
# nothing else.

# %% tags=["hide-input"]
caption = "Six clips of the miniature as the cache holds them: the chosen frame, and the spectrogram with its name."
figures.save(figures.contact_sheet(cache, items=6), "real_data/contact_sheet", caption)

# %% [markdown]
# ## A sound is repeated until it fits
#
# A network needs inputs of one size. OGM-GE's code, which the study and most of the field follow, repeats
# a sound until it fills three seconds, and cuts what is longer. So a part of what the network
# sees is the same thing once more. Below: the shortest, the median and the longest clip.

# %% tags=["hide-input"]
caption = "One clip of the miniature: its sound, repeated to three seconds. The repeats can be seen."
figures.save(figures.repeated_sound(cache), "real_data/repeated_sound", caption)

# %% tags=["NBVAL_CHECK_OUTPUT"]
import numpy as np
import pandas as pd

seconds = np.array(cache.column("seconds", cache.rows), dtype=float)
said = pd.DataFrame([tables.repeats(seconds, 3.0)])
tables.words(tables.shown(said, digits=1))

# %% [markdown]
# `shorter` and `longer` are per cent of the clips, `repeated` is per cent of all spectrograms, `cut off`
# per cent of all sound. The seam tells how long a clip is; where people are slower in one emotion than in
# another, that is one more thing that a network may read. The numbers of the real corpus are on the page
# {doc}`cremad`: a sixth of what a network sees of its sound is repeated.
#
# ## Which frame?
#
# A clip has some seventy frames, and the study looks at one: the first. Eight frames of one clip over
# time, and below them the frames that each rule keeps:

# %% tags=["hide-input"]
from asgml_core.real_data import film_strip, picture_probe

films = sorted((source / "VideoFlash").glob("*_FEA_XX.flv"))
caption = "One film of the miniature: its frames in order. The expression is at its height in the middle."
figures.save(figures.film_strip(film_strip(films[0])), "real_data/film_strip", caption)

# %% [markdown]
# `first` takes the frames with which the film begins; `even` the middle of each of so many equal shares;
# `random` draws them by the clip's name, once and for all. OGM-GE's official code draws frames at random,
# but then opens the first ones in the order of the directory: its draw has no effect ({doc}`cremad`). What
# does an actor show before the first word? To see it, the same clips are prepared with their first frame.

# %% tags=["remove-output"]
first = chosen.prepare(source, frames=1, choose="first")

# %% tags=["hide-input"]
middle = chosen.frames // 2
names = ("first", "a later one")
caption = "Four clips: the first frame, as the study takes it, and the middle one. In the first nothing has happened yet."
figures.save(figures.two_frames(first, cache, middle, names), "real_data/two_frames", caption)

# %% [markdown]
# How much of the emotion can be read from each? A linear probe on small grey pictures (24 x 32) is trained
# on the clips of some actors and tested on others; over the five speaker folds every clip is tested once.

# %%
counts = {
    "the first frame": picture_probe(first, 0),
    "a later one": picture_probe(cache, middle),
}
tables.shown(tables.shares_right(counts), digits=1)

# %% [markdown]
# Guessing is right in 16.7 % of the cases, and `error` is the binomial standard error over the clips. In
# the miniature the first frame is neutral *because it is drawn so*: the table shows how large the trap
# can be, not how large it is. On real films the same cell measures it, though a linear probe of grey
# pixels reads little of a real face.

# %% [markdown]
# ## Who is in which part?
#
# In the published split every actor is in both halves, so a network may recognise the actor instead of
# the emotion. The miniature's split, `own`, is made like it. A cache of CREMA-D always holds five more
# splits by actor number, in which nobody is in two parts.

# %% tags=["hide-input"]
caption = "Speakers of each part, by split: in the study's split every one is on both sides."
figures.save(figures.groups_of_splits(cache), "real_data/splits", caption)

# %% tags=["NBVAL_CHECK_OUTPUT"]
tables.splits(cache)

# %% [markdown]
# ## What the network sees of a picture
#
# In evaluation the whole frame is resized to a square. In training it is a random box of the frame, between
# 8 and 100 % of its area, resized, and mirrored in half of the cases. The draws are made on the CPU, once
# an epoch, one row for each item; cutting and resizing happen on the device, a batch at a time. So neither
# the device nor the batch that an item is in changes what it gets.

# %% tags=["hide-input"]
from asgml_core.datasets.transforms import Pictures

frame = cache.array("visual")[len(cache.rows) // 2, middle]
one = Pictures(size=chosen.pixels, frames=1)
caption = "One frame, and what augmentation makes of it: what training sees is never the same twice."
figures.save(figures.crops(frame, one, chosen.seed), "real_data/crops", caption)

# %% [markdown]
# Left: a frame with eight boxes. In the middle: what the network gets of them. Many show no mouth, or
# half a face. Right: size and shape of two thousand boxes. Shapes between 3/4 and 4/3 are drawn, and a box
# that does not fit into the frame is drawn again: a tall box covers 9/16 of a film's frame at most, so
# the large ones are all wide.
#
# ## One epoch
#
# A run takes its data from the cache alone. `asgml run baseline --dataset cremad` is the same on the
# command line.

# %% tags=["remove-output"]
from asgml_core import run

config = chosen.config(cache)
record = run(config, chosen.folder(), again=chosen.again)

# %%
tables.words(tables.notes(record.values["data"]))

# %% [markdown]
# This is in the record of every run: which cache, by a hash of its content; what was kept; which split, by
# which rule; what was missing. Two runs with the same fingerprint saw the same numbers.
#
# ## When it does not fit into memory
#
# A cache is moved to the device once where half of its memory is enough, and read from disk batch by batch
# where it is not. This decides nothing but the speed. Here is the run again, with no room for data at all:

# %% tags=["remove-output"]
streamed = run(config, chosen.folder() / "streamed", again=chosen.again, room=0)

# %% tags=["NBVAL_CHECK_OUTPUT"]
same = {
    name: np.array_equal(values, streamed.predictions[name])
    for name, values in record.predictions.items()
}
len(same), all(same.values())

# %% [markdown]
# Every logit of every test item is equal to the last bit.
#
# ## What this shows, and what it does not
#
# - It shows what is done to a clip, and where a choice hides: the frame, the repeated sound, the split.
# - It does not show how much each choice costs on CREMA-D. That takes the download, a whole training and
#   several seeds; the miniature's emotions are drawn to be in the middle of the clip.
# - One epoch of a narrow network says nothing of accuracy, so none is shown here.
#
# ```{admonition} Exercise
# :class: tip
# Prepare with `choose="random"` and `frames=1`. Will the probe read more or less than from the frame in the
# middle? What would change if a new frame were drawn in every epoch?
# ```
#
# ```{admonition} Answer
# :class: dropdown
# Less: in the miniature an emotion grows and fades, so a frame from anywhere shows less of it than the
# middle one, and more than the first. A new draw in every epoch needs several frames in the cache:
# `frames=8, choose="even"` when preparing, and the options `frames=1, pick="random"` of
# `asgml_core.datasets.cremad` in training.
# ```

# %% [markdown]
# ## Where these numbers come from

# %%
tables.provenance([record])
