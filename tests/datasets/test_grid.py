"""GRID words: the prepared file as it is, and files that are not as they should be."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from asgml_core import datasets, profile
from asgml_core.datasets import DataError, grid

WORDS = Path(__file__).parents[2].parent / "shared" / "data" / "grid_s1" / "grid_s1_words.npz"
needs_words = pytest.mark.skipif(not WORDS.is_file(), reason="no ../shared/data/grid_s1")


@needs_words
def test_commands_and_colours() -> None:
    data = grid(seed=1, path=str(WORDS))
    assert data.classes == ("bin", "blue", "green", "lay", "place", "red", "set", "white")
    assert data.shapes == {"audio": (1, 64, 60), "visual": (1, 1, 32, 56)}
    assert (len(data.train), len(data.test)) == (1600, 400)
    assert set(data.train.groups).isdisjoint(data.test.groups)
    assert len(set(data.test.groups)) == 200
    for x in data.train.inputs.values():
        assert float(x.mean()) == pytest.approx(0, abs=1e-3)
        assert float(x.std()) == pytest.approx(1, abs=1e-3)


@needs_words
def test_every_item_is_the_row_of_the_file_it_says() -> None:
    data = grid(seed=3, path=str(WORDS), task="digits", frames=5)
    assert data.shapes["visual"] == (5, 1, 32, 56)
    assert len(data.classes) == 10
    with np.load(WORDS) as words:
        for k in (0, 7, 151):
            clip, slot, word = data.test.ids[k].split("_")
            row = np.flatnonzero((words["clip"] == clip) & (words["slot"] == int(slot)))[0]
            assert words["word"][row] == word == data.classes[int(data.test.labels[k])]
            assert data.test.groups[k] == clip
            shown = data.test.inputs["visual"][k, :, 0].flatten()
            raw = torch.from_numpy(words["frames"][row].astype(np.float32)).flatten()
            assert torch.corrcoef(torch.stack([shown, raw]))[0, 1] > 0.99999


@needs_words
def test_the_split_and_the_noise_come_from_the_seed() -> None:
    one, same, other = (grid(seed=s, path=str(WORDS), audio_noise=1.5) for s in (1, 1, 2))
    assert one.fingerprint == same.fingerprint
    assert set(one.test.ids) != set(other.test.ids)
    clean = grid(seed=1, path=str(WORDS))
    noise = one.train.inputs["audio"] - clean.train.inputs["audio"]
    assert float(noise.std()) == pytest.approx(1.5, rel=0.01)
    assert abs(float(noise.mean())) < 0.01
    assert torch.equal(one.train.inputs["visual"], clean.train.inputs["visual"])
    both = torch.stack([noise.flatten()[:100_000], clean.train.inputs["audio"].flatten()[:100_000]])
    assert abs(float(torch.corrcoef(both)[0, 1])) < 0.02


@needs_words
def test_frames_are_the_middle_ones() -> None:
    whole = grid(seed=1, path=str(WORDS), frames=5).train.inputs["visual"]
    for count, chosen in ((1, [2]), (2, [1, 3]), (3, [0, 2, 4]), (4, [0, 1, 3, 4])):
        some = grid(seed=1, path=str(WORDS), frames=count).train.inputs["visual"]
        pair = torch.stack([some.flatten(), whole[:, chosen].flatten()]).double()
        assert float(torch.corrcoef(pair)[0, 1]) > 0.99999


@needs_words
def test_the_profile_holds_out_whole_clips() -> None:
    config = profile("grid", "grid", seed=5, options={"path": str(WORDS)})
    data = datasets.load(config)
    assert len(data.valid) == 160
    assert set(data.valid.groups).isdisjoint(set(data.train.groups) | set(data.test.groups))
    assert profile("grid", "grid_rich").data.options["frames"] == 5
    assert profile("grid", "grid_clean").data.options["audio_noise"] == 0


def test_a_missing_file_says_where_it_looked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(DataError, match=r"nowhere\.npz: no such file"):
        grid(seed=0, path="nowhere.npz")
    monkeypatch.setenv("ASGML_DATA", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=r"no grid_s1/grid_s1_words\.npz in .*ASGML_DATA"):
        grid(seed=0)


def words_file(folder: Path, **changes: np.ndarray | None) -> str:
    n = 12
    arrays = {
        "frames": np.zeros((n, 5, 32, 56), np.uint8),
        "logmel": np.arange(n * 64 * 60, dtype=np.uint8).reshape(n, 64, 60),
        "word": np.array(["bin", "blue"] * 6),
        "slot": np.array([0, 1] * 6, np.uint8),
        "clip": np.array([f"c{i // 2}" for i in range(n)]),
    } | changes
    path = folder / "words.npz"
    np.savez(path, **{k: v for k, v in arrays.items() if v is not None})
    return str(path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"frames": np.zeros((12, 5, 32, 50), np.uint8)},
            r"frames is uint8 .*50\), but uint8 .*56",
        ),
        ({"logmel": np.zeros((12, 64, 60))}, "logmel is float64"),
        ({"clip": None}, "has no array 'clip'; it has"),
        ({"slot": np.full(12, 3, np.uint8)}, "no word has a slot of task 'commands_colours'"),
        ({"word": np.array([1] * 12, dtype=object)}, "is no readable .npz: it is damaged"),
    ],
)
def test_a_file_of_another_layout_is_refused(tmp_path: Path, changes: dict, message: str) -> None:
    with pytest.raises(DataError, match=message):
        grid(seed=0, path=words_file(tmp_path, **changes), test_clips=2)


def test_a_small_file_works_and_too_many_test_clips_do_not(tmp_path: Path) -> None:
    path = words_file(tmp_path)
    assert len(grid(seed=0, path=path, test_clips=2).test) == 4
    with pytest.raises(DataError, match="has 6 clips, so test_clips must be below"):
        grid(seed=0, path=path, test_clips=6)


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    path = Path(words_file(tmp_path))
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(DataError, match=r"words\.npz is no readable"):
        grid(seed=0, path=str(path))


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"frames": 6}, "frames is 6"),
        ({"audio_noise": -1}, "audio_noise is -1"),
        ({"visual_noise": float("nan")}, "visual_noise is nan"),
        ({"task": "letters"}, "'commands_colours', 'digits'"),
    ],
)
def test_options_are_checked(option: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        grid(seed=0, **option)
