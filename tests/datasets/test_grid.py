"""GRID words: the prepared file and caches as they are, and what is not as it should be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from asgml_core import datasets, profile
from asgml_core.datasets import Cache, DataError, grid
from asgml_core.preparing.plan import Decoded, Item, ItemError, Plan
from asgml_core.preparing.runner import prepare
from asgml_core.seeding import generator

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
    with pytest.raises(DataError, match=r"no grid_s1/grid_s1_words\.npz and no cache .*ASGML_DATA"):
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
        ({"test_clips": 0}, "test_clips is 0"),
    ],
)
def test_options_are_checked(option: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        grid(seed=0, **option)


def test_the_prepared_files_fingerprint_stays(tmp_path: Path) -> None:
    """What runs recorded before caches could be read must stay resumable."""
    assert grid(seed=0, path=words_file(tmp_path), test_clips=2).fingerprint == "7321f73253c3e745"


@pytest.mark.parametrize("m", ["audio", "visual"])
def test_the_noise_is_drawn_for_all_words_in_order(tmp_path: Path, m: str) -> None:
    path = words_file(tmp_path, frames=np.random.default_rng(0).integers(
        0, 256, (12, 5, 32, 56), np.uint8))  # fmt: skip
    clean = grid(seed=4, path=path, test_clips=2)
    noisy = grid(seed=4, path=path, test_clips=2, **{f"{m}_noise": 2.0})
    drawn = torch.randn((12, *clean.shapes[m]), generator=generator(4, "grid", f"{m} noise"))
    for part, with_noise in ((clean.train, noisy.train), (clean.test, noisy.test)):
        rows = [int(item[1]) * 2 + int(item[3]) for item in part.ids]  # c<clip>_<slot>_<word>
        assert torch.equal(with_noise.inputs[m], part.inputs[m] + 2.0 * drawn[rows])


#: Speaker, clip, and words of slots 0, 1 and 4.
CLIPS = [
    ("s2", "c0", ("bin", "blue", "two")), ("s2", "c1", ("bin", "red", "six")),
    ("s2", "c2", ("lay", "blue", "two")), ("s2", "c3", ("set", "red", "one")),
    ("s10", "c0", ("bin", "blue", "two")), ("s10", "c1", ("lay", "blue", "one")),
]  # fmt: skip


def content(number: int) -> dict[str, np.ndarray]:
    draw = np.random.default_rng(number)
    return {
        "frames": draw.integers(0, 256, (5, 32, 56), np.uint8),
        "logmel": draw.integers(0, 256, (64, 60), np.uint8),
    }


@dataclass(frozen=True)
class Numbered:
    """Decodes an item to arrays drawn from its number; some fail."""

    failing: tuple[str, ...] = ()

    def __call__(self, items: Sequence[Item]) -> list[Decoded | ItemError]:
        return [
            ItemError(f"{item.id} is damaged.")
            if item.id in self.failing
            else Decoded(content(item.facts["number"]))
            for item in items
        ]


def words_cache(
    folder: Path, clips: Sequence[tuple] = tuple(CLIPS), failing: tuple[str, ...] = (), **changes
) -> str:
    items = []
    for speaker, clip, words in clips:
        for slot, word in zip((0, 1, 4), words, strict=True):
            items.append(
                Item(
                    id=f"{speaker}_{clip}_{slot}_{word}",
                    label=word,
                    group=f"{speaker}_{clip}",
                    facts={"speaker": speaker, "clip": clip, "slot": slot, "number": len(items)},
                )
            )
    plan = {
        "dataset": "grid",
        "classes": tuple(sorted({item.label for item in items})),
        "source": folder,
        "items": tuple(items),
        "arrays": {"frames": ("uint8", (5, 32, 56)), "logmel": ("uint8", (64, 60))},
        "parameters": {"mouth": "drawn"},
        "decode": Numbered(failing),
    } | changes
    prepare(Plan(**plan), folder / "cache", workers=0, progress=False)
    return str(folder / "cache")


def same_words_file(folder: Path, clips: Sequence[tuple]) -> str:
    """Write the words of clips of one speaker as a prepared file."""
    rows = [(clip, slot, word) for _, clip, words in clips
            for slot, word in zip((0, 1, 4), words, strict=True)]  # fmt: skip
    clip, slot, word = map(np.array, zip(*rows, strict=True))
    arrays = [content(number) for number in range(len(rows))]
    stacked = {name: np.stack([one[name] for one in arrays]) for name in arrays[0]}
    path = folder / "same.npz"
    np.savez(path, clip=clip, slot=slot.astype(np.uint8), word=word, **stacked)
    return str(path)


@pytest.mark.parametrize("task", ["commands_colours", "digits"])
def test_a_cache_is_the_same_data_as_a_prepared_file(tmp_path: Path, task: str) -> None:
    of_s2 = CLIPS[:4]
    options = {"seed": 3, "task": task, "frames": 3, "audio_noise": 0.5, "test_clips": 2}
    cached = grid(path=words_cache(tmp_path, of_s2), **options)
    filed = grid(path=same_words_file(tmp_path, of_s2), **options)
    assert cached.classes == filed.classes
    for one, other in ((cached.train, filed.train), (cached.test, filed.test)):
        assert one.ids == tuple(f"s2_{item}" for item in other.ids)
        assert one.groups == tuple(f"s2_{group}" for group in other.groups)
        assert torch.equal(one.labels, other.labels)
        for m in ("audio", "visual"):
            assert torch.equal(one.inputs[m], other.inputs[m])
    assert filed.notes == {}
    cache = Cache.open(cached.source)
    assert cached.notes["cache"]["fingerprint"] == cache.manifest["fingerprint"]
    assert cached.notes["missing"] == {"items": 0, "first": []}


def test_equal_clips_of_two_speakers_are_two_groups(tmp_path: Path) -> None:
    path = words_cache(tmp_path)
    for seed in range(8):
        data = grid(seed=seed, path=path, test_clips=3)
        assert set(data.train.groups).isdisjoint(data.test.groups)
        assert len(set(data.test.groups)) == 3
        assert set(data.train.groups) | set(data.test.groups) == {f"{s}_{c}" for s, c, _ in CLIPS}


def test_every_item_has_its_own_row(tmp_path: Path) -> None:
    listed = [f"{s}_{c}_{slot}_{word}" for s, c, words in CLIPS
              for slot, word in zip((0, 1, 4), words, strict=True)]  # fmt: skip
    data = grid(seed=0, path=words_cache(tmp_path), test_clips=3, frames=5)
    for part in (data.train, data.test):
        for k, item in enumerate(part.ids):
            own = content(listed.index(item))
            for m, name in (("audio", "logmel"), ("visual", "frames")):
                pair = np.stack([part.inputs[m][k].flatten().numpy(), own[name].ravel()])
                assert np.corrcoef(pair)[0, 1] > 0.99999


def test_missing_words_are_named_or_allowed_and_the_others_stay(tmp_path: Path) -> None:
    whole = grid(seed=1, path=words_cache(tmp_path / "whole"), test_clips=2)
    lost = ("s2_c1_0_bin", "s10_c0_1_blue")
    path = words_cache(tmp_path / "lost", failing=(*lost, "s2_c2_4_two"))
    with pytest.raises(DataError, match=r"2 of the 12 words .* missing, 's2_c1_0_bin' first; rep"):
        grid(seed=1, path=path, test_clips=2)
    data = grid(seed=1, path=path, test_clips=2, allow_missing=True)
    assert data.notes["missing"] == {"items": 2, "first": list(lost)}
    assert data.classes == whole.classes
    for part, whole_part in ((data.train, whole.train), (data.test, whole.test)):
        assert part.ids == tuple(item for item in whole_part.ids if item not in lost)


def test_a_clip_that_is_lost_whole_does_not_draw_the_others_anew(tmp_path: Path) -> None:
    lost = ("s2_c1_0_bin", "s2_c1_1_red")
    paths = words_cache(tmp_path / "whole"), words_cache(tmp_path / "lost", failing=lost)
    for seed in range(8):
        whole, data = (
            grid(seed=seed, path=path, test_clips=2, allow_missing=True) for path in paths
        )
        assert data.test.ids == tuple(item for item in whole.test.ids if item not in lost)
        assert data.train.ids == tuple(item for item in whole.train.ids if item not in lost)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"arrays": {"frames": ("uint8", (5, 32, 56))}},
            r"array 'logmel' is None \(\), but uint8 \(64, 60\) was expected",
        ),
        ({"dataset": "cremad"}, "is a cache of 'cremad', but 'grid' was asked for"),
    ],
)
def test_a_cache_of_another_layout_is_refused(tmp_path: Path, changes: dict, message: str) -> None:
    path = words_cache(tmp_path, **changes)
    with pytest.raises(DataError, match=message):
        grid(seed=0, path=path, test_clips=2)


def test_an_unfinished_cache_or_an_empty_folder_is_refused(tmp_path: Path) -> None:
    path = words_cache(tmp_path)
    with pytest.raises(DataError, match="has 6 clips, so test_clips must be below"):
        grid(seed=0, path=path, test_clips=6)
    (Path(path) / "manifest.json").unlink()
    with pytest.raises(DataError, match="is not finished"):
        grid(seed=0, path=path, test_clips=2)
    with pytest.raises(DataError, match="'asgml data prepare' makes a cache"):
        grid(seed=0, path=str(tmp_path), test_clips=2)


def test_a_cache_without_words_of_the_task_or_with_none_left_is_refused(tmp_path: Path) -> None:
    digits = tuple(f"{s}_{c}_4_{words[2]}" for s, c, words in CLIPS)
    path = words_cache(tmp_path, failing=digits)
    assert len(grid(seed=0, path=path, test_clips=2).train) == 8
    with pytest.raises(DataError, match="6 of the 6 words of task 'digits' are missing"):
        grid(seed=0, path=path, task="digits", test_clips=2, allow_missing=True)


def test_a_cache_is_found_where_no_prepared_file_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASGML_DATA", str(tmp_path))
    words_cache(tmp_path)
    (tmp_path / "cache").rename(tmp_path / "grid")
    assert grid(seed=0, test_clips=2).source == str(tmp_path / "grid")
    (tmp_path / "grid_s1").mkdir()
    Path(words_file(tmp_path)).rename(tmp_path / "grid_s1" / "grid_s1_words.npz")
    assert grid(seed=0, test_clips=2).source == str(tmp_path / "grid_s1" / "grid_s1_words.npz")
