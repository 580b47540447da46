"""PyInstaller bootstrap hook: Ctrl-C during start-up ends the process without a traceback.

Python installs its KeyboardInterrupt handler as soon as it starts, and the launcher would print a
traceback from whatever was being imported. build.spec runs this before PyInstaller's own bootstrap
code, when only modules built into the interpreter can be imported.
"""

import _signal  # type: ignore[import-not-found]  # it has no types

# SIGINT may be ignored on purpose, as in a shell's background job: leave that alone.
if _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler:
    _signal.signal(_signal.SIGINT, _signal.SIG_DFL)
