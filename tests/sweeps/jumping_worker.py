"""What a worker imports to have a clock that jumps."""

import time

from jumping_clock import jumping

_gmtime, _strftime = time.gmtime, time.strftime
time.time = jumping(time.time)
time.gmtime = lambda seconds=None: _gmtime(time.time() if seconds is None else seconds)
time.strftime = lambda form, when=None: _strftime(form, time.gmtime() if when is None else when)
