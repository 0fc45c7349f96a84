"""A Sphinx extension: every notebook's page ends by saying how to run it and where to download it.

It works in Jupyter Book and in Sphinx alone, and leaves the notebook's file as it is.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from asgml_core.notebook_files import read_notebook
from asgml_core.paths import project_root

_BOX = """\
## Run this page yourself

In the project's folder, once `make setup` is done:

```bash
source .venv/bin/activate
{commands}
```

{trial}{sets}To download: {{download}}`this page as a notebook <{name}.ipynb>`,
{{download}}`its text as Python <scripts/{name}.py>`.
"""
_TRIAL = "With `-p profile smoke` every cell runs on little data, in less than a minute. "


def box(notebook: Path) -> str:
    """Return the text of a notebook's box, in MyST.

    Args:
        notebook: in the book's folder or in a copy below the project's folder.
    """
    name, parameters = notebook.stem, read_notebook(notebook).parameters
    command = f"papermill book/{name}.ipynb out.ipynb"
    if "seed" in parameters:
        command += " -p seed 1"
    sets = sorted((project_root(notebook.parent) / "params" / name).glob("*.yaml"))
    files = ", ".join(f"`-f params/{name}/{file.name}`" for file in sets)
    return _BOX.format(
        name=name,
        commands=command,
        trial=_TRIAL if "outputs" in parameters else "",
        sets=f"Sets of parameters: {files}. " if files else "",
    )


def _add(app: Any, page: str, source: list[str]) -> None:
    """Append the box to a notebook that Sphinx has read."""
    file = Path(app.env.doc2path(page))
    if file.suffix != ".ipynb":
        return
    content = json.loads(source[0])
    cell = {"cell_type": "markdown", "metadata": {}, "source": box(file)}
    if content["nbformat_minor"] >= 5:
        cell["id"] = "run-this-page"
    content["cells"].append(cell)
    source[0] = json.dumps(content)


def _leave_out(app: Any, page: str, template: str, context: dict[str, Any], tree: object) -> None:
    """Leave out the script of sphinx-thebe, which is not used and is put on each page twice."""
    scripts = context.get("script_files", [])
    bodies = [getattr(script, "attributes", {}).get("body") or "" for script in scripts]
    scripts[:] = [
        script for script, body in zip(scripts, bodies, strict=True) if "THEBE" not in body
    ]


def setup(app: Any) -> dict[str, bool]:
    """Connect the box to Sphinx."""
    app.connect("source-read", _add)
    app.connect("html-page-context", _leave_out, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
