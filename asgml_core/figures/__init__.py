"""Tables and records in, matplotlib figures out. No training, no global change of style."""

from asgml_core.figures.caches import contact_sheet
from asgml_core.figures.data import draw_item, emotions, examples, knob, knobs, phenomenon
from asgml_core.figures.diagnosis import (
    controls,
    gaps,
    masked_steps,
    probe_readings,
    relative_updates,
    replaced_gradients,
    signal,
    skipped_gradients,
    strengths,
)
from asgml_core.figures.real_data import (
    crops,
    film_strip,
    groups_of_splits,
    repeated_sound,
    two_frames,
)
from asgml_core.figures.runs import (
    coefficients,
    differences,
    encoder_knowledge,
    learning_curves,
    trajectories,
)
from asgml_core.figures.speed import scaling, shares_of_step, speed_ratios, study_costs
from asgml_core.figures.style import colours, save, style

__all__ = [
    "coefficients",
    "colours",
    "contact_sheet",
    "controls",
    "crops",
    "differences",
    "draw_item",
    "emotions",
    "encoder_knowledge",
    "examples",
    "film_strip",
    "gaps",
    "groups_of_splits",
    "knob",
    "knobs",
    "learning_curves",
    "masked_steps",
    "phenomenon",
    "probe_readings",
    "relative_updates",
    "repeated_sound",
    "replaced_gradients",
    "save",
    "scaling",
    "shares_of_step",
    "signal",
    "skipped_gradients",
    "speed_ratios",
    "strengths",
    "study_costs",
    "style",
    "trajectories",
    "two_frames",
]
