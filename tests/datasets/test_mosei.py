"""MOSEI and MOSI from a prepared cache: classes, standardisation, padding, and a run."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from mmsa_files import features_of, write_features

from asgml_core import profile, run, study
from asgml_core.datasets import DataError, load, mosei, mosi
from asgml_core.datasets.mosei import TASKS, Steps, step_statistics
from asgml_core.preparing import prepare_dataset

MODALITIES = ("audio", "vision", "text")


def cached(folder: Path, content, dataset="mosei", **options) -> str:
    source = write_features(folder / "source", content, options.get("alignment", "aligned"))
    prepare_dataset(dataset, source, folder / "cache", workers=0, progress=False, **options)
    return str(folder / "cache")


@pytest.fixture(scope="module")
def content() -> dict:
    """Three values of the 24 training items do not vary, or hardly."""
    made = features_of(size=24)
    for part in made.values():
        there = (part["audio"] != 0).any(2)
        part["audio"][there, 0] = 2.5
        part["audio"][there, 1] = 1e6 + part["audio"][there, 2] * 1e-3
    made["test"]["vision"][1] = 0.0  # no face was found
    return made


@pytest.fixture(scope="module")
def cache(tmp_path_factory, content) -> str:
    return cached(tmp_path_factory.mktemp("mosei"), content)


def seen(data, part: str, m: str) -> torch.Tensor:
    return data.transforms[m](data.parts[part].inputs[m].load(), None)


# ---------------------------------------------------------------------------------- the parts


def test_the_parts_are_the_file_s_own(cache: str, content: dict) -> None:
    data = mosei(seed=1, path=cache)
    assert data.modalities == MODALITIES
    assert data.shapes == {"audio": (50, 74), "vision": (50, 35), "text": (50, 768)}
    assert data.classes == ("negative", "nonnegative")
    for name, part in data.parts.items():
        assert list(part.ids) == content[name]["id"].tolist()
        assert list(part.groups) == [item.rpartition("$_$")[0] for item in part.ids]
    assert not set(data.train.groups) & set(data.test.groups)
    assert mosei(seed=2, path=cache).fingerprint == data.fingerprint
    assert data.notes["missing"]["items"] == 0
    assert data.notes["split"]["rule"] == "the file's own parts"


def test_only_one_of_the_two_is_read(cache: str) -> None:
    with pytest.raises(DataError, match="is a cache of 'mosei', but 'mosi' was asked for"):
        mosi(seed=0, path=cache)


def test_a_missing_cache_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASGML_DATA", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match="asgml data prepare mosi"):
        mosi(seed=0)


# ---------------------------------------------------------------------------------- the classes


@pytest.mark.parametrize(
    ("task", "expected"),
    [
        ("negative_nonnegative", {-3: 0, -1 / 3: 0, 0: 1, 0.2: 1, 3: 1}),
        ("negative_positive", {-3: 0, -0.2: 0, 0: None, 0.2: 1, 3: 1}),
        ("three", {-3: 0, -0.2: 0, 0: 1, 1 / 3: 2, 3: 2}),
        (
            "seven",
            {-3: 0, -2.6: 0, -2.5: 1, -1.5: 1, -1.4: 2, -0.5: 3, -0.4: 3, 0: 3, 0.4: 3, 0.5: 3,
             0.6: 4, 1.5: 5, 2.4: 5, 2.5: 5, 2.6: 6, 3: 6},
        ),
        (
            "seven_outward",
            {-3: 0, -2.2: 0, -2: 1, -1.5: 1, -1: 2, -0.2: 2, 0: 3, 0.2: 4, 1: 4, 1.2: 5, 2: 5,
             2.2: 6, 3: 6},
        ),
    ],
)  # fmt: skip
def test_a_sentiment_has_its_class(task: str, expected: dict) -> None:
    names, class_of = TASKS[task]
    for sentiment, number in expected.items():
        assert class_of(float(sentiment)) == number, sentiment
        assert number is None or 0 <= number < len(names)


def test_seven_classes_are_rounded_as_numpy_does() -> None:
    """MMSA's Acc-7 compares ``np.round`` of clipped labels."""
    for fifth in range(-15, 16):
        for level in (2, 3, 5, 6):
            s = fifth / level
            if abs(s) <= 3:
                assert TASKS["seven"][1](s) == int(np.round(np.clip(s, -3, 3))) + 3


def outward(a: float) -> int:
    """The rule as the README of the CMU SDK spells it out for MOSEI."""
    bounds = [(a < -2, -3), (-2 <= a < -1, -2), (-1 <= a < 0, -1), (a == 0, 0)]
    bounds += [(0 < a <= 1, 1), (1 < a <= 2, 2), (a > 2, 3)]
    return next(number for holds, number in bounds if holds)


def test_outward_rounding_is_the_sdk_s() -> None:
    for thirtieth in range(-90, 91):
        s = thirtieth / 30
        assert TASKS["seven_outward"][1](s) - 3 == outward(s)


@pytest.mark.parametrize("task", TASKS)
def test_labels_follow_the_file_s_sentiment(cache: str, content: dict, task: str) -> None:
    data = mosei(seed=0, path=cache, task=task)
    assert data.classes == TASKS[task][0]
    for name, part in data.parts.items():
        sentiments = dict(
            zip(content[name]["id"], content[name]["regression_labels"].tolist(), strict=True)
        )
        zeros = sum(s == 0 for s in sentiments.values())
        left_out = zeros if task == "negative_positive" else 0
        assert data.notes["sentiment_0_left_out"][name] == left_out
        assert len(part) == len(sentiments) - left_out
        for item, label in zip(part.ids, part.labels.tolist(), strict=True):
            assert label == TASKS[task][1](sentiments[item])


# ---------------------------------------------------------------------------------- standardising


def test_features_are_standardised_by_the_steps_of_the_training_part(
    cache: str, content: dict
) -> None:
    data = mosei(seed=0, path=cache)
    for m in MODALITIES:
        raw = {name: content[name][m].astype(np.float32).astype(np.float64) for name in content}
        there = {name: (x != 0).any(2) for name, x in raw.items()}
        if m == "text":
            there = {name: content[name]["text_bert"][:, 1] == 1 for name in content}
        steps = raw["train"][there["train"]]
        mean, std = steps.mean(0), steps.std(0, ddof=1)
        for name in content:
            z = seen(data, name, m)
            assert z.dtype == torch.float32
            assert not bool(z[~torch.from_numpy(there[name])].any())
            varies = slice(2, None) if m == "audio" else slice(None)
            expected = ((raw[name][there[name]] - mean) / np.where(std > 0, std, 1))[:, varies]
            found = z[torch.from_numpy(there[name])][:, varies]
            np.testing.assert_allclose(found.numpy(), expected, rtol=1e-4, atol=1e-4)


def test_a_feature_that_does_not_vary_is_zero_and_counted(cache: str) -> None:
    data = mosei(seed=0, path=cache)
    assert data.notes["features_that_do_not_vary"] == {"audio": 2, "vision": 0, "text": 0}
    assert not bool(seen(data, "test", "audio")[:, :, :2].any())


def test_the_training_part_alone_decides(tmp_path: Path, content: dict) -> None:
    changed = {name: dict(part) for name, part in content.items()}
    changed["test"]["vision"] = content["test"]["vision"] * 100 + 7
    other = mosei(seed=0, path=cached(tmp_path, changed))
    for m, transform in mosei(seed=0, path=str(tmp_path / "cache")).transforms.items():
        assert torch.equal(transform.mean, other.transforms[m].mean)
        assert torch.equal(transform.scale, other.transforms[m].scale)


def test_statistics_do_not_depend_on_the_share(monkeypatch: pytest.MonkeyPatch, normal) -> None:
    x = normal(40, 6, 3) * torch.tensor([1.0, 1e-3, 100.0]) + torch.tensor([0.0, 5.0, 1e4])
    x[:, 4:] = 0
    x[7] = 0
    steps = x[(x != 0).any(2)].double()
    for share in (1, 7, 256):
        # The package's name for the module is the function's.
        monkeypatch.setattr(sys.modules["asgml_core.datasets.mosei"], "SHARE", share)
        mean, deviation = step_statistics(x)
        torch.testing.assert_close(mean, steps.mean(0), rtol=1e-7, atol=1e-8)
        torch.testing.assert_close(deviation, steps.std(0), rtol=1e-7, atol=0)
    mean, deviation = step_statistics(torch.zeros(3, 2, 4))
    assert not bool(mean.any() | deviation.any())


def test_pooling_averages_the_steps_that_are_there(cache: str) -> None:
    sequences, pooled = mosei(seed=0, path=cache), mosei(seed=0, path=cache, pool="mean")
    assert pooled.shapes == {"audio": (74,), "vision": (35,), "text": (768,)}
    for m in MODALITIES:
        z, mean = seen(sequences, "test", m), seen(pooled, "test", m)
        for i in range(len(z)):
            there = z[i][(z[i] != 0).any(1)]
            expected = there.mean(0) if len(there) else torch.zeros(z.shape[2])
            torch.testing.assert_close(mean[i], expected, rtol=1e-4, atol=1e-5)
    assert not bool(seen(pooled, "test", "vision")[1].any())
    assert repr(pooled.transforms["text"]) == "Steps(pool='mean')"
    assert isinstance(pooled.transforms["text"], Steps)


# ---------------------------------------------------------------------------------- missing items


def test_failed_items_are_left_out_only_when_that_is_said(tmp_path: Path) -> None:
    content = features_of("mosi", size=12)
    content["train"]["audio"][3, 0, 0] = -np.inf
    content["test"]["audio"][0, 0, 0] = np.nan
    path = cached(tmp_path, content, "mosi")
    with pytest.raises(DataError, match="2 of the 24 items of split 'official' are missing"):
        mosi(seed=0, path=path)
    data = mosi(seed=0, path=path, allow_missing=True)
    assert {name: len(part) for name, part in data.parts.items()} == {
        "train": 11, "valid": 6, "test": 5,
    }  # fmt: skip
    assert data.notes["missing"]["by_part"] == {"train": 1, "test": 1}
    assert data.notes["missing"]["items"] == 2


def test_a_part_without_items_of_the_task_is_named(tmp_path: Path) -> None:
    content = features_of("mosi", size=6)
    content["valid"]["regression_labels"][:] = 0
    content["valid"]["annotations"] = np.array(["Neutral"] * 4)
    path = cached(tmp_path, content, "mosi")
    with pytest.raises(DataError, match="no item of the valid part is there for 'negative_pos"):
        mosi(seed=0, path=path, task="negative_positive")


@pytest.mark.parametrize(
    ("option", "message"),
    [({"task": "five"}, "task is 'five', but must be one of"), ({"pool": "max"}, "pool is 'max'")],
)
def test_options_are_checked(option: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        mosei(seed=0, **option)


# ---------------------------------------------------------------------------------- runs


def base(dataset: str, name: str, path: str, **changes):
    config = profile(dataset, name, seed=3, epochs=2, options={"path": path}, **changes)
    return config.replace(model={"width": 1}, train={"batch_size": 4})


@pytest.mark.parametrize(
    "name",
    ["baseline", "boost_ogm", "freq_fixed2", "p1_stale_default", "miles_paper", "cont_noise"],
)
def test_the_study_s_methods_run_on_three_modalities(tmp_path: Path, cache: str, name: str) -> None:
    name = f"early_{name}" if name in ("freq_fixed2", "miles_paper") else name
    record = run(study.config(name, base("mosei", "mosei", cache)), tmp_path, progress=False)
    assert 0 <= record.accuracy() <= 1
    assert record.values["items"] == {"train": 24, "valid": 12, "test": 12}
    for m in MODALITIES:
        assert f"modulated_norm/{m}" in record.steps
    if name == "boost_ogm":
        ogm = next(method for method in record.config.methods if method.name == "ogm_ge")
        assert ogm.options["scope"] == "weights"


@pytest.mark.parametrize("name", ["vision_only", "joint_only", "unimodal_losses_only"])
def test_arms_run_on_pooled_features(tmp_path: Path, cache: str, name: str) -> None:
    record = run(study.config(name, base("mosei", "mosei_mean", cache)), tmp_path, progress=False)
    assert 0 <= record.accuracy() <= 1


def test_a_run_on_mosi_from_the_unaligned_file(tmp_path: Path) -> None:
    content = features_of("mosi", "unaligned", 8)
    content["train"]["audio"][0, 0, 0] = -np.inf
    path = cached(tmp_path, content, "mosi", alignment="unaligned", non_finite="zero")
    options = {"path": path, "task": "seven"}
    config = base("mosi", "mosi", path).replace(data={"options": options}, train={"epochs": 1})
    assert load(config).shapes == {"audio": (375, 5), "vision": (500, 20), "text": (50, 768)}
    record = run(config, tmp_path / "outputs", progress=False)
    assert record.values["classes"] == ["-3", "-2", "-1", "0", "+1", "+2", "+3"]
    assert record.values["data"]["cache"]["parameters"]["non_finite"] == "zero"
    assert record.values["data"]["cache"]["counts"]["notes"] == 1


def test_a_network_learns_what_is_in_the_features(tmp_path: Path) -> None:
    """The miniature's features rise and fall with the sentiment."""
    path = cached(tmp_path, features_of("mosi", size=96), "mosi")
    for name in ("mosi", "mosi_mean"):
        config = profile("mosi", name, epochs=2, options={"path": path}).replace(
            train={"batch_size": 8}
        )
        record = run(config, tmp_path / name, progress=False)
        assert record.accuracy() > 0.85


def test_joining_and_holding_out(cache: str) -> None:
    """The file's validation part stays; protocol ``paper`` trains on it too."""
    honest = load(base("mosei", "mosei", cache))
    assert {name: len(part) for name, part in honest.parts.items()} == {
        "train": 24, "valid": 12, "test": 12,
    }  # fmt: skip
    paper = load(base("mosei", "mosei", cache, protocol="paper"))
    assert {name: len(part) for name, part in paper.parts.items()} == {"train": 36, "test": 12}
    assert torch.equal(paper.transforms["text"].mean, honest.transforms["text"].mean)


@pytest.mark.parametrize("text", ["", "much", "nan", "inf", "3.5", "1" * 400])
def test_a_sentiment_that_is_none_is_refused_by_item(
    tmp_path: Path, content: dict, text: str
) -> None:
    path = Path(cached(tmp_path, content))
    table = path / "items.csv"
    lines = table.read_text().splitlines()
    place = lines[0].split(",").index("sentiment")
    cells = lines[1].split(",")
    cells[place] = text
    table.write_text("\n".join([lines[0], ",".join(cells), *lines[2:]]) + "\n")
    manifest = json.loads((path / "manifest.json").read_text())  # whoever made it, made it whole
    manifest["items_sha256"] = hashlib.sha256(table.read_bytes()).hexdigest()
    (path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(DataError, match=r"has the sentiment '.*, but a number from -3 to 3"):
        mosei(seed=0, path=str(path))
