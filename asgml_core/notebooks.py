"""Parameters of notebooks, typed and checked, and their execution.

Papermill only warns of a parameter that a notebook does not have. Here the first cell after the
parameters calls :func:`settings`, which refuses unknown names and impossible values.
"""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from asgml_core import study
from asgml_core.checks import AsgmlError, check_count, check_flag, check_one_of
from asgml_core.config import RunConfig, check_device
from asgml_core.files import WriteError, write_atomically
from asgml_core.paths import outputs_folder
from asgml_core.profiles import PROFILES, profile, profile_name

Chosen = TypeVar("Chosen")

#: Names that a fresh kernel has besides the parameters.
_KERNEL = {"In", "Out", "exit", "quit", "open", "get_ipython"}
#: A name that the first check leaves in the notebook.
_CHECKED = "_asgml_parameters_checked"
#: Errors of a disk that takes no more.
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


class NotebookError(AsgmlError, RuntimeError):
    """A notebook that cannot be read or executed; the message names the file and the cell.

    Args:
        said: what is wrong, in one sentence.
        output: the notebook so far, if there is one.
    """

    def __init__(self, said: str, output: Path | None = None) -> None:
        kept = f" (the notebook so far, with the whole traceback, is {output})" if output else ""
        super().__init__(said + kept)
        #: What the state file of a task says.
        self.state = {"state": "failed", "reason": said}


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

    @property
    def shown(self) -> str:
        """What captions say of the data: ``synth (demo), seed 42``."""
        return f"{self.dataset} ({profile_name(self.dataset, self.profile)}), seed {self.seed}"

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


@dataclass(frozen=True, kw_only=True)
class Reading:
    """The parameters of a notebook that only reads tables.

    Args:
        folder: of the tables; ``None`` means the book's.
        profile: of any dataset; it changes nothing, and is accepted so that one command serves all.

    Raises:
        ValueError: naming the parameter, the value and what is allowed.
    """

    folder: str | None = None
    profile: str | None = None

    def __post_init__(self) -> None:
        if self.folder is not None and not isinstance(self.folder, str):
            raise ValueError(f"folder is {self.folder!r}, but must be the path of a folder.")
        if self.profile is not None:
            known = dict.fromkeys(name for named in PROFILES.values() for name in named)
            check_one_of("profile", self.profile, known)


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
    *,
    folder: Path | None = None,
    outputs: Path | None = None,
    tell: Callable[[int], None] | None = None,
) -> Path:
    """Execute a notebook with papermill and return where it was written.

    The output is whole or not there: while it grows, it is ``.<name>.partial.ipynb`` beside it.

    Args:
        notebook: its path, or its name in ``book/``.
        output: by default ``outputs/notebooks/<name>[-<parameter>_<value>...].ipynb``.
        parameters: by name.
        folder: where the kernel works; ``None`` is where this process does.
        outputs: what the kernel takes for the folder of outputs; ``None`` is the usual one.
        tell: is told how many cells of code are done; ``None`` shows a bar.

    Raises:
        FileNotFoundError: naming the notebooks there are.
        ValueError: for a parameter that it does not have, naming those it has.
        NotebookError: when it cannot be read, or a cell fails; the output holds the traceback.
        WriteError: when the disk is full.
    """
    from asgml_core.kernels import execute_cells
    from asgml_core.notebook_files import read_notebook
    from asgml_core.notebook_tasks import FOLDER, output_name

    read = read_notebook(find(notebook))
    given = read.check(parameters or {})
    if output is None:
        output = outputs_folder() / FOLDER / f"{output_name(read, given)}.ipynb"
    output = Path(output)
    output.parent.mkdir(parents=True, exist_ok=True)
    partial = partial_of(output.absolute())
    environment = {} if outputs is None else _environment(outputs, output.stem)
    try:
        execute_cells(
            read.path,
            partial,
            given,
            kernel=read.kernel,
            folder=folder,
            environment=environment,
            tell=tell,
        )
        _put(partial, output)
    except NotebookError as error:
        kept = output if partial.exists() else None
        if kept:
            _put(partial, output)
        raise NotebookError(f"{read.path.name}, {error}", kept) from error
    except OSError as error:
        if error.errno in _FULL:
            raise WriteError(f"{output} could not be written ({error.strerror}).") from error
        raise
    finally:
        partial.unlink(missing_ok=True)
    return output


def partial_of(output: Path) -> Path:
    """Return where an executed notebook is while it grows."""
    return output.with_name(f".{output.stem}.partial.ipynb")


def _environment(outputs: Path, name: str) -> dict[str, str]:
    """Return variables that keep what one notebook writes apart from what others do."""
    changed = {"ASGML_OUTPUTS": str(outputs)}
    figures = os.environ.get("ASGML_FIGURES")
    if figures:
        changed["ASGML_FIGURES"] = str(Path(figures).absolute() / name)
    return changed


def _put(partial: Path, output: Path) -> None:
    """Put an executed notebook where it belongs, at once."""
    content = json.loads(partial.read_bytes())
    content["metadata"]["papermill"]["output_path"] = str(output)
    write_atomically(output, (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode())


def execute_all(
    notebook: str | Path,
    grid: Mapping[str, Iterable[Any]],
    parameters: Mapping[str, Any] | None = None,
    outputs: str | Path | None = None,
    *,
    workers: int | None = None,
    **options: Any,
) -> list[Path]:
    """Execute a notebook once for every combination of some parameters, and return the outputs.

    What is executed already is not executed again; what failed or was stopped is.

    Args:
        notebook: its path, or its name in ``book/``.
        grid: the values of each parameter that changes.
        parameters: those that are equal for all.
        outputs: folder of all results; by default ``outputs``.
        workers: how many notebooks at once; ``None`` is one a core, or one a GPU where GPUs were
            named. A notebook whose parameter ``workers`` is ``None`` gets its share of the cores.
        options: fields of :class:`asgml_core.sweep.Options`, such as ``engine`` and ``again``.

    Raises:
        FileNotFoundError: naming the notebooks there are.
        ValueError: for a parameter that it does not have, naming those it has.
        NotebookError: when the notebook cannot be read.
        SweepError: when outputs are missing in the end, naming each with its reason; the others
            are there. Also, before anything is done, when an output is of other cells or other
            code.
    """
    from asgml_core.notebook_tasks import check_executed, plan_notebooks
    from asgml_core.sweep import Options, carry_out

    chosen = Options(workers=workers, **options)
    folder = Path(outputs or outputs_folder()).absolute()
    plan = plan_notebooks(find(notebook), grid, parameters or {}, chosen)
    carry_out(plan, folder, chosen)
    if chosen.wait:
        check_executed(plan, folder)
    return [task.result(folder) for task in plan.tasks]


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
