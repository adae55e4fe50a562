"""Runs a command on a terminal, and says yes only after somebody else has put a secret into the target.

usage: confirm_late.py ENDPOINT REGION NAME COMMAND ...
Prints what the terminal showed; ends with the command's exit code.
"""

import os
import pty
import sys

import boto3

endpoint, region, name, *command = sys.argv[1:]
pid, terminal = pty.fork()
if pid == 0:
    os.execv(command[0], command)
shown = b""
while True:
    try:
        part = os.read(terminal, 4096)
    except OSError:
        part = b""
    if not part:
        break
    shown += part
    if b"Type yes to go on" in shown and name:
        secrets = boto3.client("secretsmanager", endpoint_url=endpoint, region_name=region)
        secrets.create_secret(Name=name, SecretString="put there meanwhile")
        name = ""
        os.write(terminal, b"yes\n")
_, status = os.waitpid(pid, 0)
sys.stdout.buffer.write(shown)
sys.exit(os.waitstatus_to_exitcode(status))
