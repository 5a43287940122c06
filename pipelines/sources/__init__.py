"""Data sets, one file each: a function with the module's name that returns `ImageData`.

Its keyword-only parameters are the arguments of a `--dataset` spec.
"""
