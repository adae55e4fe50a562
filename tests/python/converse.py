"""Runs a command on a terminal of its own and talks with it, as a person would.

usage: converse.py STEPS COMMAND ...
STEPS is JSON: a list of [WAIT, SEND] or [WAIT, SEND, SECONDS]. Each waits until the terminal shows WAIT after what it
showed before, then sends SEND, with so many SECONDS between its characters. SEND may be {"signal": "INT"}.
Prints what the terminal showed, and at the end how the terminal was left. Ends with the command's exit code.
"""

import json
import os
import pty
import select
import signal
import sys
import termios
import time

steps, command = json.loads(sys.argv[1]), sys.argv[2:]
pid, terminal = pty.fork()
if pid == 0:
    os.execv(command[0], command)
before = termios.tcgetattr(terminal)
shown, seen = b"", 0
limit = time.monotonic() + 120


def read():
    """What the terminal shows now; false when it has closed."""
    global shown
    if not select.select([terminal], [], [], 0.02)[0]:
        return True
    try:
        part = os.read(terminal, 65536)
    except OSError:
        return False
    shown += part
    return bool(part)


opened = True
for wait, send, *pause in steps:
    while opened and wait.encode() not in shown[seen:]:
        opened = read() and time.monotonic() < limit
    at = shown[seen:].find(wait.encode())
    if at < 0:
        break
    seen += at + len(wait.encode())
    if isinstance(send, dict):
        began = time.monotonic()
        os.kill(pid, getattr(signal, "SIG" + send["signal"]))
        continue
    pieces = [c.encode() for c in send] if pause else [send.encode()]
    for piece in pieces:
        os.write(terminal, piece)
        deadline = time.monotonic() + (pause[0] if pause else 0)
        while opened and time.monotonic() < deadline:
            opened = read()
while opened and time.monotonic() < limit:
    opened = read()
left = termios.tcgetattr(terminal)
if time.monotonic() >= limit:
    os.kill(pid, signal.SIGKILL)
_, status = os.waitpid(pid, 0)
sys.stdout.buffer.write(shown)
print("\nTERMINAL", "as it was" if left[:4] == before[:4] else "changed")
if "began" in globals():
    print(f"SECONDS {time.monotonic() - began:.2f}")
code = os.waitstatus_to_exitcode(status)
sys.exit(code if code >= 0 else 128 - code)
