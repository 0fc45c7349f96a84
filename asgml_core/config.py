"""The whole description of one run: typed, checked, saved with its record.

A run is decided by its config, the data and the code, and by nothing else. ``RunConfig`` is frozen;
``to_dict`` and ``from_dict`` carry it whole to and from JSON and YAML.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from numbers import Integral, Real
from typing import Any, Literal, get_args

from asgml_core.checks import check_count, check_flag, check_number, check_one_of
from asgml_core.reading import check_plain, first_line, one_line, short

Precision = Literal["fp32", "bf16"]
Execution = Literal["eager", "graphs", "compile", "compile_graphs"]

#: The longest text in a config from elsewhere, how many values it may have, and the longest message
#: about it.
TEXT, VALUES, MESSAGE = 4096, 50_000, 800
#: What a named source takes from the run itself, so that it is not an option of its own.
FROM_RUN = ("self", "seed")


def check_options(where: str, function: Callable, options: Mapping[str, Any]) -> None:
    """Check that every option is an argument of ``function``.

    Raises:
        ValueError: naming the option and the ones there are.
    """
    known = _options_of(function)
    for name in options:
        check_one_of(f"{where}: option", name, known)
    for name, parameter in known.items():
        if parameter.default is parameter.empty and name not in options:
            raise ValueError(f"{where} needs the option {name!r}.")


@functools.cache
def _options_of(function: Callable) -> dict[str, inspect.Parameter]:
    parameters = inspect.signature(function).parameters
    return {name: p for name, p in parameters.items() if name not in FROM_RUN}


def check_device(device: str) -> None:
    """Check that a device is of a kind that is supported, and there.

    Raises:
        ValueError: naming the device and what is allowed.
    """
    import torch

    kind, _, index = str(device).partition(":")
    if kind not in ("cpu", "cuda") or (index and not index.isdecimal()):
        raise ValueError(f"device is {device!r}, but must be 'cpu', 'cuda' or 'cuda:N'.")
    there = torch.cuda.device_count()
    if kind == "cuda" and int(index or 0) >= there:
        raise ValueError(
            f"device is {device!r}, but this machine has {there} CUDA devices in reach."
        )


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Which data: a source of :data:`asgml_core.datasets.SOURCES` and its options."""

    name: str = "synth"
    options: Mapping[str, Any] = field(default_factory=dict)
    #: Modalities to use, in this order; ``None`` takes all.
    modalities: tuple[str, ...] | None = None
    #: Share of the training items held out for validation, by group (protocol ``honest``).
    hold_out: float = 0.1

    def __post_init__(self) -> None:
        from asgml_core.datasets import SOURCES

        check_one_of("data.name", self.name, SOURCES)
        if not isinstance(self.options, Mapping):
            raise ValueError(
                f"data.options is {short(self.options)}, but must be a mapping of options."
            )
        if self.modalities is not None and not _are_names(self.modalities):
            raise ValueError(
                f"data.modalities is {short(self.modalities)}, but must be different names."
            )
        check_options(f"data {self.name!r}", SOURCES[self.name], self.options)
        check_number("data.hold_out", self.hold_out, above=0.0, high=0.9)


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """Which network; see :func:`asgml_core.models.build_model`."""

    head: Literal["concat_mlp", "concat_linear", "sum", "gated"] = "concat_mlp"
    width: int = 64
    stem: Literal["imagenet", "small"] = "imagenet"
    frames: Literal["each", "channels"] = "each"
    init: Literal["study", "official"] = "study"

    def __post_init__(self) -> None:
        check_one_of("model.head", self.head, ("concat_mlp", "concat_linear", "sum", "gated"))
        check_count("model.width", self.width, high=1024)
        check_one_of("model.stem", self.stem, ("imagenet", "small"))
        check_one_of("model.frames", self.frames, ("each", "channels"))
        check_one_of("model.init", self.init, ("study", "official"))


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """How to train: SGD with momentum (or Adam), and one drop of the learning rate."""

    epochs: int = 100
    batch_size: int = 64
    optimizer: Literal["sgd", "adam"] = "sgd"
    learning_rate: float = 1e-3
    #: Of SGD alone.
    momentum: float = 0.9
    weight_decay: float = 1e-4
    #: The learning rate drops after this share of the epochs (the study: StepLR(70) of 100).
    drop_at: float = 0.7
    #: ... by this factor.
    drop_factor: float = 0.1

    def __post_init__(self) -> None:
        check_count("train.epochs", self.epochs, high=100_000)
        check_count("train.batch_size", self.batch_size, low=2)
        check_one_of("train.optimizer", self.optimizer, ("sgd", "adam"))
        check_number("train.learning_rate", self.learning_rate, above=0.0)
        check_number("train.momentum", self.momentum, low=0.0, high=1.0)
        check_number("train.weight_decay", self.weight_decay, low=0.0)
        check_number("train.drop_at", self.drop_at, above=0.0, high=1.0)
        check_number("train.drop_factor", self.drop_factor, above=0.0, high=1.0)

    def scheduled_rate(self, epoch: int) -> float:
        """Return the learning rate of an epoch, counted from 1."""
        dropped = epoch > round(self.drop_at * self.epochs)
        return self.learning_rate * (self.drop_factor if dropped else 1.0)


def _check_method(name: str, cls: Any, options: Mapping[str, Any]) -> None:
    """Check a method's options, and refuse values out of range now and not in mid-run."""
    try:
        said = json.dumps(options, sort_keys=True)
    except (TypeError, ValueError):  # the run's config refuses it, with a better word
        said = None
    if said is None or (cls, said) not in _CHECKED:
        check_options(f"method {name!r}", cls.__init__, options)
        cls(**options)
    if said is not None:
        _CHECKED.add((cls, said))


#: Methods and options found to be good: a plan of thousands of runs has few of them.
_CHECKED: set[tuple[Any, str]] = set()


@dataclass(frozen=True, kw_only=True)
class MethodConfig:
    """One method of :data:`asgml_core.modulators.REGISTRY`, its options and its window.

    ``start`` and ``end`` are the first and last epoch at work. Both ``None`` takes the method's
    default window, a share of the epochs; a method without one is at work throughout.
    """

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)
    start: int | None = None
    end: int | None = None

    def __post_init__(self) -> None:
        from asgml_core.modulators import REGISTRY

        check_one_of("method", self.name, REGISTRY)
        if not isinstance(self.options, Mapping):
            raise ValueError(
                f"method {self.name!r}: options is {short(self.options)}, but must be a mapping of "
                "options."
            )
        _check_method(self.name, REGISTRY[self.name], self.options)
        if self.start is not None:
            check_count(f"method {self.name!r}: start", self.start, low=0)
        if self.end is not None:
            check_count(f"method {self.name!r}: end", self.end, low=self.start or 0)


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """One run.

    Args:
        run_id: its name; with the seed it names the folder.
        seed: of everything that is drawn: data or split, weights, order, noise, probes.
        data: which data.
        model: which network.
        train: how to train.
        methods: the balancing methods, in order. The unimodal losses are one of them.
        protocol: ``"honest"`` holds out a validation part by group; ``"paper"`` trains on all.
        device: ``"cpu"``, ``"cuda"``, ``"cuda:1"``, ...
        threads: CPU threads; another number gives other last bits.
        memory_format: of pictures and weights; it decides the speed and the last bits.
        precision: ``"fp32"`` is the study's arithmetic (on a GPU without TF32). ``"bf16"`` computes
            the encoders in bfloat16, with weights, norms' statistics, features, losses and probes
            in float32.
        execution: of the encoders in training: ``"eager"``, ``"graphs"`` (CUDA graphs),
            ``"compile"`` or ``"compile_graphs"``; see :mod:`asgml_core.execution`.
        deterministic: the same bits every time; ``False`` lets cuDNN choose faster kernels.

    Raises:
        ValueError: for a field outside its range, an unknown option, or a window outside the run.
    """

    run_id: str
    seed: int
    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    methods: tuple[MethodConfig, ...] = field(
        default_factory=lambda: (MethodConfig(name="unimodal_losses"),)
    )
    protocol: Literal["honest", "paper"] = "honest"
    device: str = "cpu"
    threads: int = 1
    memory_format: Literal["channels_last", "contiguous"] = "channels_last"
    precision: Precision = "fp32"
    execution: Execution = "eager"
    deterministic: bool = True

    def __post_init__(self) -> None:
        if not _is_name(self.run_id):
            raise ValueError(
                f"run_id is {self.run_id!r}, but it names a folder: letters, digits, '_', '-' and "
                "'.', not starting with '.'."
            )
        object.__setattr__(self, "seed", check_count("seed", self.seed, low=0))
        check_one_of("protocol", self.protocol, ("honest", "paper"))
        check_count("threads", self.threads, high=1024)
        check_one_of("memory_format", self.memory_format, ("channels_last", "contiguous"))
        check_one_of("precision", self.precision, get_args(Precision))
        check_one_of("execution", self.execution, get_args(Execution))
        if not isinstance(self.device, str):
            raise ValueError(f"device is {short(self.device)}, but must be text.")
        if "graphs" in self.execution and self.device == "cpu":
            raise ValueError(
                f"execution is {self.execution!r}, but CUDA graphs need a GPU and device is 'cpu'; "
                "choose execution 'eager' or 'compile', or device 'cuda'."
            )
        check_flag("deterministic", self.deterministic)
        for method in self.methods:
            first, last = method.start or 0, method.end
            if first > self.train.epochs or last == 0:
                raise ValueError(
                    f"method {method.name!r} is at work from epoch {first} to {last}, but the run "
                    f"has epochs 1 to {self.train.epochs}; it would never act."
                )

        try:
            # What has been checked above is plain; these may hold anything.
            free = [self.device, self.data.options, self.data.modalities]
            json.dumps([*free, *(method.options for method in self.methods)], allow_nan=False)
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"the config cannot be saved as JSON ({error}); its values must be text, numbers, "
                "true, false or null."
            ) from error

    @property
    def folder(self) -> str:
        """The name of the run's folder, as in the study."""
        return f"{self.run_id}_seed{self.seed}"

    def replace(self, **changes: Any) -> RunConfig:
        """Return a copy with changes; ``train={"epochs": 3}`` changes fields inside a section."""
        for name, change in changes.items():
            if isinstance(change, dict) and dataclasses.is_dataclass(getattr(self, name, None)):
                changes[name] = dataclasses.replace(getattr(self, name), **change)
        return dataclasses.replace(self, **changes)

    def to_dict(self) -> dict[str, Any]:
        """Return the config as plain values, ready for JSON."""
        return _plain(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> RunConfig:
        """Return the config that :meth:`to_dict` wrote.

        Raises:
            ValueError: for an unknown field, naming it and the ones there are; for a value of
                another type, naming its field.
        """
        if not isinstance(values, Mapping):
            raise ValueError(f"config is {short(values)}, but must be a mapping of fields.")
        check_plain(values, TEXT, VALUES)
        try:
            return _from_dict("config", cls, _sections(values))
        except ValueError as error:
            if len(str(error)) <= MESSAGE and "\n" not in str(error):
                raise
            raise ValueError(f"{one_line(str(error), MESSAGE)}.") from error


def differences(one: Mapping[str, Any], other: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Return what differs between two configs as dictionaries, one phrase per field."""
    found = []
    for key in {**one, **other}:
        a, b = one.get(key), other.get(key)
        if isinstance(a, Mapping) and isinstance(b, Mapping):
            found += differences(a, b, f"{prefix}{key}.")
        elif a != b:
            found.append(f"{prefix}{key} {a!r} -> {b!r}")
    return found


def _sections(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a config, its sections made."""
    made = dict(values)
    for name, section in {"data": DataConfig, "model": ModelConfig, "train": TrainConfig}.items():
        if name in made:
            made[name] = _from_dict(name, section, made[name])
    if "methods" in made:
        if not isinstance(made["methods"], (list, tuple)):
            raise ValueError(f"methods is {short(made['methods'])}, but must be a list of methods.")
        made["methods"] = tuple(_method(method) for method in made["methods"])
    return made


def _method(values: Any) -> MethodConfig:
    try:
        return _from_dict("method", MethodConfig, values)
    # A method from elsewhere may not check the types of its options.
    except (TypeError, AttributeError, LookupError, OverflowError) as error:
        options = short(values.get("options"))
        raise ValueError(
            f"method {short(values.get('name'))} cannot be made with the options {options} "
            f"({first_line(error)})."
        ) from error


def _from_dict(where: str, cls: type, values: Mapping[str, Any]) -> Any:
    if not isinstance(values, Mapping):
        raise ValueError(f"{where} is {short(values)}, but must be a mapping of fields.")
    fields = {f.name: f for f in dataclasses.fields(cls)}
    for name in values:
        check_one_of(f"{where}: field", name, fields)
    for name, f in fields.items():
        needed = f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
        if needed and name not in values:
            raise ValueError(f"{where} has no {name!r}, which is needed.")
    values = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
    return cls(**values)


def _plain(value: Any) -> Any:
    if value is None or type(value) in _LEAVES:
        return value
    if dataclasses.is_dataclass(value):
        return {name: _plain(getattr(value, name)) for name in value.__dataclass_fields__}
    if isinstance(value, Mapping):
        return {key: _plain(v) for key, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, Real):  # numpy's, which JSON does not have
        return int(value) if isinstance(value, Integral) else float(value)
    return value


#: Values that are plain already.
_LEAVES = (str, int, float, bool)


def _are_names(names: Any) -> bool:
    is_list = isinstance(names, (list, tuple)) and bool(names)
    return (
        is_list and all(isinstance(n, str) and n for n in names) and len(set(names)) == len(names)
    )


def _is_name(text: Any) -> bool:
    return (
        isinstance(text, str)
        and 0 < len(text) <= 100
        and not text.startswith(".")
        and all(c.isascii() and (c.isalnum() or c in "_-.") for c in text)
    )
