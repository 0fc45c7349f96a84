"""Tables and records in, matplotlib figures out. No training, no global change of style."""

from asgml_core.figures.caches import contact_sheet
from asgml_core.figures.comparisons import (
    cost_against_accuracy,
    critical_difference,
    paired,
    power_curve,
)
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
from asgml_core.figures.dynamics import bands, bands_by_modality, selections
from asgml_core.figures.over_seeds import gains, later, published, seeds, selection_gain
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
from asgml_core.figures.saving import SavedFigure, save
from asgml_core.figures.speed import scaling, shares_of_step, speed_ratios, study_costs
from asgml_core.figures.style import colours, look, style

__all__ = [
    "SavedFigure",
    "bands",
    "bands_by_modality",
    "coefficients",
    "colours",
    "contact_sheet",
    "controls",
    "cost_against_accuracy",
    "critical_difference",
    "crops",
    "differences",
    "draw_item",
    "emotions",
    "encoder_knowledge",
    "examples",
    "film_strip",
    "gains",
    "gaps",
    "groups_of_splits",
    "knob",
    "knobs",
    "later",
    "learning_curves",
    "look",
    "masked_steps",
    "paired",
    "phenomenon",
    "power_curve",
    "probe_readings",
    "published",
    "relative_updates",
    "repeated_sound",
    "replaced_gradients",
    "save",
    "scaling",
    "seeds",
    "selection_gain",
    "selections",
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
