"""A user's own arrays: both layouts, and every way they can be wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from asgml_core.datasets import DataError, arrays

MANIFEST = {"classes": ["cat", "dog"], "modalities": ["audio", "visual"]}


def table(n: int = 20) -> dict[str, np.ndarray]:
    draw = np.random.default_rng(0)
    return {
        "audio": draw.normal(3, 2, (n, 7)),
        "visual": draw.integers(0, 255, (n, 3, 8, 8), dtype=np.uint8),
        "labels": np.arange(n) % 2,
        "parts": np.array(["train", "train", "test", "valid"] * (n // 4)),
        "ids": np.array([f"clip{i}" for i in range(n)]),
        "groups": np.array([f"speaker{i // 4}" for i in range(n)]),
    }


def write(folder: Path, values: dict, manifest: object = MANIFEST, layout: str = "npz") -> str:
    if layout == "npz":
        np.savez(folder / "mine.npz", **values)
        (folder / "mine.yaml").write_text(yaml.safe_dump(manifest))
        return str(folder / "mine.npz")
    for key, array in values.items():
        np.save(folder / f"{key}.npy", array)
    (folder / "manifest.yaml").write_text(yaml.safe_dump(manifest))
    return str(folder)


@pytest.mark.parametrize("layout", ["npz", "folder"])
def test_both_layouts_give_the_same_data(tmp_path: Path, layout: str) -> None:
    values = table()
    data = arrays(seed=0, path=write(tmp_path, values, layout=layout))
    assert data.classes == ("cat", "dog")
    assert {name: len(part) for name, part in data.parts.items()} == {
        "train": 10, "valid": 5, "test": 5
    }  # fmt: skip
    assert data.test.ids == ("clip2", "clip6", "clip10", "clip14", "clip18")
    assert data.test.groups[0] == "speaker0"
    for m in ("audio", "visual"):  # standardised by the training rows alone
        rows = np.flatnonzero(values["parts"] == "train")
        raw = values[m][rows].astype(np.float64)
        expected = (raw - raw.mean()) / raw.std(ddof=1)
        np.testing.assert_allclose(data.train.inputs[m], expected, atol=1e-4)


def test_values_can_be_left_as_they_are(tmp_path: Path) -> None:
    values = table()
    data = arrays(seed=0, path=write(tmp_path, values, {**MANIFEST, "standardise": False}))
    rows = values["parts"] == "test"
    assert torch.equal(data.test.inputs["audio"], torch.from_numpy(values["audio"][rows]).float())


def test_a_split_by_group_is_drawn_from_the_seed(tmp_path: Path) -> None:
    values = {k: v for k, v in table(40).items() if k != "parts"}
    path = write(tmp_path, values, {**MANIFEST, "test_fraction": 0.3})
    one, same, other = (arrays(seed=s, path=path) for s in (1, 1, 4))
    assert set(one.train.groups).isdisjoint(one.test.groups)
    assert len(set(one.test.groups)) == 3
    assert one.fingerprint == same.fingerprint
    assert one.test.ids != other.test.ids


def test_ids_and_groups_may_be_left_out(tmp_path: Path) -> None:
    values = {k: v for k, v in table().items() if k not in ("ids", "groups")}
    data = arrays(seed=0, path=write(tmp_path, values))
    assert data.test.ids[0] == "item_000002"
    assert data.test.groups == data.test.ids


def broken(**changes: object) -> dict:
    return {k: v for k, v in (table() | changes).items() if v is not None}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (broken(audio=None), "has no array 'audio'; it has visual"),
        (broken(audio=np.zeros((19, 7))), r"audio has shape \(19, 7\), but labels has 20 rows"),
        (broken(audio=np.zeros((20, 7, 7))), r"audio is float64 \(20, 7, 7\); numbers of shape"),
        (broken(audio=np.full((20, 7), np.nan)), r"train, audio: row 0 \(item 'clip0'\) holds NaN"),
        (broken(audio=np.array(["x"] * 20)), "audio is <U1"),
        (broken(labels=np.full(20, 2)), "label of row 0 .* is 2"),
        (broken(labels=np.zeros(20)), "labels is float64"),
        (broken(parts=np.array(["train"] * 20)), "gives no item to 'test'"),
        (broken(parts=np.array(["train"] * 19 + ["tset"])), "parts row 19 is 'tset'"),
        (broken(ids=np.array(["same"] * 20)), "item 'same' more than once"),
        (broken(labels=np.array([None] * 20)), "is no readable .npz: it is damaged"),
    ],
)
def test_wrong_arrays_are_refused_by_file_and_key(
    tmp_path: Path, values: dict, message: str
) -> None:
    with pytest.raises(DataError, match=message) as caught:
        arrays(seed=0, path=write(tmp_path, values))
    assert "mine.npz" in str(caught.value)


@pytest.mark.parametrize(
    ("manifest", "message"),
    [
        ({**MANIFEST, "lables": "y"}, r"mine\.yaml: field is 'lables'.*Did you mean 'labels'"),
        ({"classes": ["a", "b"]}, "modalities is None; a list"),
        ({**MANIFEST, "classes": ["a", "a"]}, "a list of different names"),
        ({**MANIFEST, "test_fraction": 2}, "test_fraction is 2"),
        ({**MANIFEST, "groups": "speaker"}, "has no array 'speaker'"),
        ({**MANIFEST, "labels": ["x"]}, r"labels is \['x'\], but must be the name of an array"),
        ({**MANIFEST, "standardise": "no"}, "standardise is 'no', but must be True or False"),
        (["classes"], "a mapping with classes and modalities"),
    ],
)
def test_a_wrong_manifest_is_refused_by_field(
    tmp_path: Path, manifest: object, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        arrays(seed=0, path=write(tmp_path, table(), manifest))


def test_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone\.npz: no such file or folder"):
        arrays(seed=0, path=str(tmp_path / "gone.npz"))
    path = Path(write(tmp_path, table()))
    path.with_suffix(".yaml").unlink()
    with pytest.raises(DataError, match=r"mine\.yaml: no such file; .* needs a manifest"):
        arrays(seed=0, path=str(path))
    folder = tmp_path / "folder"
    folder.mkdir()
    write(folder, broken(visual=None), layout="folder")
    with pytest.raises(DataError, match=r"visual\.npy: no such file"):
        arrays(seed=0, path=str(folder))


def test_a_manifest_cannot_run_code(tmp_path: Path) -> None:
    path = Path(write(tmp_path, table()))
    path.with_suffix(".yaml").write_text("!!python/object/apply:os.mkdir [reached]")
    with pytest.raises(DataError, match="not readable YAML"):
        arrays(seed=0, path=str(path))
