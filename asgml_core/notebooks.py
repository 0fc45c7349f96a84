"""Parameters of notebooks, typed and checked, and their execution.

Papermill only warns of a parameter that a notebook does not have. Here the first cell after the
parameters calls :func:`settings`, which refuses unknown names and impossible values.
"""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from asgml_core import study
from asgml_core.checks import AsgmlError, check_count, check_flag, check_one_of
from asgml_core.config import RunConfig, check_device
from asgml_core.paths import outputs_folder
from asgml_core.profiles import PROFILES, profile, profile_name

Chosen = TypeVar("Chosen")

#: Names that a fresh kernel has besides the parameters.
_KERNEL = {"In", "Out", "exit", "quit", "open", "get_ipython"}
#: A name that the first check leaves in the notebook.
_CHECKED = "_asgml_parameters_checked"


class NotebookError(AsgmlError, RuntimeError):
    """A notebook with a cell that failed; the message names the cell, the error and the output."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The parameters of a notebook of the study.

    Args:
        seed: 0 or more.
        dataset: ``"synth"``, ``"grid"`` or ``"arrays"``.
        profile: of the dataset; ``None`` means its default.
        epochs: another number of epochs than the profile's; ``None`` keeps it.
        data: path of the data file or folder; ``None`` looks in the data folders.
        device: ``"cpu"``, ``"cuda"``, ``"cuda:1"``, ...
        precision: ``"fp32"`` or ``"bf16"``.
        execution: of training; on a GPU ``"graphs"`` is faster, with the same results.
        workers: processes; ``None`` means one for each core.
        outputs: folder for the runs; ``None`` means one named after the settings.
        again: compute anew what is there already, such as after a change of the code.

    Raises:
        ValueError: naming the parameter, the value and what is allowed.
    """

    seed: int = 42
    dataset: str = "synth"
    profile: str | None = None
    epochs: int | None = None
    data: str | None = None
    device: str = "cpu"
    precision: str = "fp32"
    execution: str = "eager"
    workers: int | None = None
    outputs: str | None = None
    again: bool = False

    def __post_init__(self) -> None:
        check_count("seed", self.seed, low=0)
        check_one_of("dataset", self.dataset, PROFILES)
        profile_name(self.dataset, self.profile)
        for name in ("epochs", "workers"):
            if getattr(self, name) is not None:
                check_count(name, getattr(self, name))
        for name in ("data", "device", "outputs"):
            value = getattr(self, name)
            if not isinstance(value, str) and (value is not None or name == "device"):
                raise ValueError(f"{name} is {value!r}, but must be text.")
        check_flag("again", self.again)
        check_device(self.device)
        if self.dataset == "arrays" and self.data is None:
            raise ValueError("dataset is 'arrays', so data must be the path of a file or folder.")
        if self.data is not None and not Path(self.data).exists():
            raise ValueError(f"data is {self.data!r}, but there is no such file or folder.")
        self.base()

    def base(self) -> RunConfig:
        """Return the baseline that the notebook's runs start from."""
        if self.data is not None and self.dataset == "synth":
            raise ValueError("data is given, but dataset 'synth' is drawn by code and reads none.")
        options = {} if self.data is None else {"path": self.data}
        return profile(
            self.dataset,
            self.profile,
            seed=self.seed,
            epochs=self.epochs,
            options=options,
            device=self.device,
            precision=self.precision,
            execution=self.execution,
        )

    def folder(self) -> Path:
        """Return the folder of the runs: ``outputs/<dataset>-<profile>``, and what differs."""
        if self.outputs is not None:
            return Path(self.outputs)
        name = f"{self.dataset}-{profile_name(self.dataset, self.profile)}"
        if self.epochs is not None:
            name += f"-{self.epochs}epochs"
        if self.device != "cpu":
            name += f"-{self.device.replace(':', '')}"
        for setting, usual in ((self.precision, "fp32"), (self.execution, "eager")):
            if setting != usual:
                name += f"-{setting}"
        return outputs_folder() / name

    def configs(self, names: Sequence[str]) -> list[RunConfig]:
        """Return the configs of named runs and arms on the notebook's base."""
        return [study.config(name, self.base()) for name in names]


def settings(namespace: Mapping[str, Any], cls: type[Chosen] = Settings) -> Chosen:
    """Return the notebook's parameters, checked; call it right after the parameters cell.

    Args:
        namespace: ``globals()`` of the notebook.
        cls: the typed parameters, a dataclass.

    Raises:
        ValueError: for an unknown name or an impossible value, naming what is allowed.
    """
    given = {
        name: value
        for name, value in namespace.items()
        if not name.startswith("_")
        and name not in _KERNEL
        and not isinstance(value, (types.ModuleType, types.FunctionType, type))
    }
    known = [field.name for field in dataclasses.fields(cls)]
    # Papermill adds names before the first call; by the second, the notebook has names of its own.
    if _CHECKED not in namespace:
        for name in given:
            check_one_of("parameter", name, known)
    chosen = cls(**{name: value for name, value in given.items() if name in known})
    if isinstance(namespace, dict):
        namespace[_CHECKED] = True
    return chosen


def execute(
    notebook: str | Path,
    output: str | Path | None = None,
    parameters: Mapping[str, Any] | None = None,
) -> Path:
    """Execute a notebook with papermill and return where it was written.

    Args:
        notebook: its path, or its name in ``book/``.
        output: by default ``outputs/notebooks/<name>[-<parameter><value>...].ipynb``.
        parameters: by name.

    Raises:
        FileNotFoundError: naming the notebooks there are.
        NotebookError: when a cell fails; the output holds the traceback.
    """
    import papermill

    source = find(notebook)
    given = dict(parameters or {})
    if output is None:
        tail = "".join(f"-{name}_{_slug(value)}" for name, value in given.items())
        output = outputs_folder() / "notebooks" / f"{source.stem}{tail}.ipynb"
    output = Path(output)
    output.parent.mkdir(parents=True, exist_ok=True)
    try:
        papermill.execute_notebook(str(source), str(output), parameters=given)
    except papermill.PapermillExecutionError as error:
        raise NotebookError(
            f"{source.name}, cell {error.exec_count}: {error.ename}: {error.evalue} "
            f"(the notebook so far, with the whole traceback, is {output})"
        ) from error
    return output


def find(notebook: str | Path) -> Path:
    """Return the path of a notebook, given as a path or as a name in ``book/``.

    Raises:
        FileNotFoundError: naming the notebooks there are.
    """
    from asgml_core.paths import project_root

    path = Path(notebook)
    if path.is_file():
        return path
    book = project_root() / "book"
    named = book / f"{path.name.removesuffix('.ipynb')}.ipynb"
    if named.is_file():
        return named
    there = ", ".join(sorted(p.stem for p in book.glob("*.ipynb"))) or "none"
    raise FileNotFoundError(f"{notebook}: no such notebook; in book/ there are: {there}.")


def _slug(value: Any) -> str:
    return "".join(c if c.isalnum() or c in ".-" else "_" for c in str(value))
