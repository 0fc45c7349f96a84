"""The tables of a run, by step and by epoch."""

from __future__ import annotations

import torch

from asgml_core.telemetry import StepRecorder, join_tables


def rows(table):
    return {
        name: [None if x != x else x for x in values.tolist()] for name, values in table.items()
    }


def test_a_value_that_a_step_lacks_is_nan():
    recorder = StepRecorder()
    recorder.add({"loss": torch.tensor(1.0), "scale": torch.tensor(0.5)})
    recorder.add({"loss": torch.tensor(2.0)})
    recorder.add({})
    recorder.add({"late": torch.tensor(7), "loss": torch.tensor(3.0)})
    table = recorder.table()
    assert rows(table) == {
        "loss": [1.0, 2.0, None, 3.0],
        "scale": [0.5, None, None, None],
        "late": [None, None, None, 7.0],
    }
    assert all(values.dtype == torch.float32 for values in table.values())


def test_an_empty_recorder_gives_an_empty_table():
    recorder = StepRecorder()
    assert recorder.table() == {}
    recorder.add({})
    assert recorder.table() == {}


def test_values_are_detached_and_of_any_number_type():
    recorder = StepRecorder()
    weight = torch.ones((), requires_grad=True)
    recorder.add(
        {
            "graph": weight * 2,
            "double": torch.tensor(0.25, dtype=torch.float64),
            "half": torch.tensor(0.5, dtype=torch.bfloat16),
            "flag": torch.tensor(True),
        }
    )
    table = recorder.table()
    assert rows(table) == {"graph": [2.0], "double": [0.25], "half": [0.5], "flag": [1.0]}
    assert not table["graph"].requires_grad


def test_a_dictionary_reused_by_the_loop_is_not_shared():
    recorder, values = StepRecorder(), {"loss": torch.tensor(1.0)}
    recorder.add(values)
    values["loss"] = torch.tensor(2.0)
    recorder.add(values)
    assert rows(recorder.table()) == {"loss": [1.0, 2.0]}


def test_tables_are_joined_one_below_the_other():
    first = {"loss": torch.tensor([1.0, 2.0]), "old": torch.tensor([5.0, 6.0])}
    second = {"new": torch.tensor([7.0]), "loss": torch.tensor([3.0])}
    joined = join_tables([first, {}, second])
    assert rows(joined) == {
        "loss": [1.0, 2.0, 3.0],
        "old": [5.0, 6.0, None],
        "new": [None, None, 7.0],
    }
    assert join_tables([]) == join_tables([{}, {}]) == {}
    assert rows(join_tables(iter([first]))) == rows(first)


def test_joining_whole_numbers_and_nothing_else_keeps_them():
    joined = join_tables([{"n": torch.tensor([1, 2])}, {"n": torch.tensor([3])}])
    assert rows(joined) == {"n": [1.0, 2.0, 3.0]}
    assert joined["n"].dtype == torch.float32
