#!/usr/bin/env python3
"""session_suds.py BASE-URL: the counter in an HTTP session, by suds, from its WSDL. suds keeps cookies by itself.
Exits 0 only when the counter ran 1, 2, 3, ..."""
import sys

from suds.client import Client

client = Client(sys.argv[1] + "/session?wsdl", cache=None)
got = []
for i in range(1, 6):
    try:
        got.append(client.service.increment())
        print(f"call {i} -> {got[-1]}", flush=True)
    except Exception as e:
        got.append(None)
        print(f"call {i} failed: {type(e).__module__}.{type(e).__name__}: {e}", flush=True)
sys.exit(0 if got == [1, 2, 3, 4, 5] else 1)
