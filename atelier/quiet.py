"""`python -m atelier.quiet <module> ...`: as `python -m <module> ...`, without a traceback after Ctrl-C, also during its imports."""

import runpy
import sys

from pipelines import errors

with errors.printed_once():
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
