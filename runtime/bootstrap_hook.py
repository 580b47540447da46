"""What a produced executable runs first of all: until the program is ready, Ctrl-C just ends it.

Python makes Ctrl-C a KeyboardInterrupt from its first moment on, and the launcher would show the
traceback of whatever was being imported then. build.spec puts this before PyInstaller's own start,
where nothing can be imported yet but what is built into the interpreter.
"""

import _signal  # type: ignore[import-not-found]  # it has no types

# Where Ctrl-C was ignored before, as in a shell's background job, it stays so.
if _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler:
    _signal.signal(_signal.SIGINT, _signal.SIG_DFL)
