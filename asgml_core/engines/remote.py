"""What a worker on another machine does; it goes there by its name, and is imported there."""

from __future__ import annotations

from collections.abc import Callable

from asgml_core.checks import AsgmlError
from asgml_core.engines.base import Call, End, Outcome

Work = Callable[[Call], Outcome]
#: Why a worker ended that was asked to.
STOPPED = "stopped"


def work(call: Call) -> Outcome:
    """Do :func:`asgml_core.worker.work`, which is imported where it is needed."""
    from asgml_core import worker

    return worker.work(call)


def carry_out(work: Work, call: Call) -> End:
    """Do the work, and say how it ended; what is raised is for another process to try again.

    Args:
        work: what a worker does.
        call: what it is told.
    """
    try:
        return End(work(call))
    except KeyboardInterrupt:  # of SIGTERM too
        return End("stop", STOPPED)
    except (AsgmlError, ImportError) as error:  # the plan or the installation: no process helps
        return End("stop", str(error))
