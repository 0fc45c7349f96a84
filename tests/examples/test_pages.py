"""The pages about one's own loop say what is so."""

from __future__ import annotations

import re

import pytest
from test_schedulers import MULTIPLYING, SETTING
from toy_loop import EXAMPLES, Loop, check_close

import toy
from asgml_core import Boost, Outputs
from asgml_core.modulators import REGISTRY
from asgml_core.modulators.base import defines

BOOK = EXAMPLES.parent / "book"
USE_IT, ADD = ((BOOK / f"{name}.md").read_text("utf-8") for name in ("use_it", "add_a_method"))
#: Hooks of a loop of one's own, beside `modulate`, in which the first two are called.
HOOKS = ("passes", "features", "terms", "backward", "epoch_end")


def test_the_table_says_which_hooks_each_method_needs():
    rows = [line.split("|")[1:-1] for line in USE_IT.splitlines() if line.startswith("| `")]
    told = {name: re.findall(r"`(\w+)`", row[1]) for row in rows for name in names_in(row[0])}
    needed = {
        cls.__name__: [
            hook
            for hook in HOOKS
            if (cls().needs_epoch_end if hook == "epoch_end" else defines(cls(), hook))
        ]
        for cls in REGISTRY.values()
        if cls.__module__.startswith("asgml_core.")
    }
    assert told == needed


def names_in(cell: str) -> list[str]:
    return re.findall(r"`(\w+)`", cell)


def test_the_page_names_the_schedulers_that_were_tried():
    paragraph = USE_IT.partition("### Learning-rate schedulers")[2].partition("`SequentialLR`")[0]
    multiplying, setting = paragraph.split("After those that set")
    assert set(MULTIPLYING) == set(re.findall(r"`(\w+)`", multiplying)) - {"MILES"}
    assert set(SETTING) == set(re.findall(r"`(\w+)`", setting))


@pytest.mark.parametrize("text", [USE_IT, ADD], ids=["use_it", "add_a_method"])
def test_what_a_page_includes_is_there(text):
    included = re.findall(r"\{literalinclude\} (\S+)\n(.*?):::", text, re.DOTALL)
    assert len(included) >= 5
    for path, options in included:
        source = (BOOK / path).read_text(encoding="utf-8")
        for kind, sought in re.findall(r":([\w-]+): (.*)", options):
            if kind == "pyobject":
                assert re.search(rf"^(def|class) {sought}\b", source, re.MULTILINE), sought
            elif kind.startswith(("start", "end")):
                assert sought.strip('"').replace('\\"', '"') in source, sought


def test_every_example_is_named_on_a_page():
    for path in EXAMPLES.glob("*.py"):
        assert f"examples/{path.name}" in USE_IT + ADD or path.stem == "toy"


def test_a_network_without_unimodal_heads_can_be_boosted():
    class Headless(Loop):
        def outputs(self, network, inputs) -> Outputs:
            whole = super().outputs(network, inputs)
            return Outputs(whole.logits, dict.fromkeys(toy.CHANNELS, whole.logits), whole.features)

    usual, headless = Loop(Boost(eval_every=2)), Headless(Boost(eval_every=2))
    check_close(headless.advance().state(), usual.advance().state(), 0.0)
    assert int(headless.modulator.acted) > 0
