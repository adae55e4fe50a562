"""Prints every secret of a project as Google's own client sees it.

Usage: gcp_dump.py ADDRESS projects/PROJECT
"""

import json
import sys

from gcp_client import client, dump

ADDRESS, PROJECT = sys.argv[1:]
print(json.dumps(dump(client(ADDRESS), PROJECT)))
