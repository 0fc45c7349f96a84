"""Executing a notebook with parameters, as a task of a sweep."""

from __future__ import annotations

from asgml_core.tasks import Task


class NotebookTask(Task):
    """To come."""

    type = "notebook"
