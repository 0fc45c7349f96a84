"""The book with Sphinx alone: `sphinx-build book _build/sphinx`.

All settings are those of `_config.yml` and `_toc.yml`. Jupyter Book does not read this file.
"""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from asgml_core.book.publishing import sphinx_settings  # noqa: E402

globals().update(sphinx_settings(ROOT))
