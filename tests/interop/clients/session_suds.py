"""session_suds.py WSDL [CALLS]: the counter in an HTTP session, by suds, from its WSDL. suds keeps cookies by itself.
Exits 0 only when the counter ran 1, 2, 3, ..."""
import sys

from suds.client import Client

wsdl, calls = sys.argv[1], int((sys.argv[2:] or [5])[0])
client = Client(wsdl, cache=None)
bad = 0
for i in range(1, calls + 1):
    if i > 1:
        sys.stdin.readline()        # a test may hold it here
    try:
        got = client.service.increment()
        print(f"call {i} -> {got}", flush=True)
        bad |= got != i
    except Exception as e:
        print(f"call {i} failed: {type(e).__module__}.{type(e).__name__}: {e}", flush=True)
        bad = 1
sys.exit(bad)
