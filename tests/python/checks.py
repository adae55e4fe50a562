"""Runs the checks of one script against one server, and says what each found.

A check is a function named by what must be true. Its line is `ok NAME` or `FAILED NAME` with the
trace; the closing line is `N passed, N failed, N skipped`. The exit code is 0 only when all ran and passed.
"""

import re
import sys
import traceback

CHECKS = []


def check(wrong_in_moto=None):
    """Registers a check; `wrong_in_moto` says why it cannot hold against moto, a peer of the emulator."""

    def register(function):
        CHECKS.append((function, wrong_in_moto))
        return function

    return register


def same(actual, expected, what="value"):
    if actual != expected:
        raise AssertionError(f"{what}: expected {expected!r}, got {actual!r}")


def among(actual, allowed, what="value"):
    if actual not in allowed:
        raise AssertionError(f"{what}: expected one of {sorted(allowed)!r}, got {actual!r}")


def matches(actual, pattern, what="value"):
    if not re.fullmatch(pattern, actual):
        raise AssertionError(f"{what}: expected {pattern}, got {actual!r}")


def run(against_moto=False, only=None):
    passed = failed = skipped = 0
    for function, wrong_in_moto in CHECKS:
        name = function.__name__
        if only and only not in name:
            continue
        if against_moto and wrong_in_moto:
            skipped += 1
            print(f"skipped {name}: {wrong_in_moto}")
            continue
        try:
            function()
        except Exception:
            failed += 1
            print(f"FAILED {name}\n{traceback.format_exc()}")
        else:
            passed += 1
            print(f"ok {name}")
        sys.stdout.flush()
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed or not passed else 0
