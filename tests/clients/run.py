"""Runs one function of one module: `python -m run MODULE FUNCTION`."""

import importlib
import sys

module, function = sys.argv[1:3]
getattr(importlib.import_module(module), function)()
