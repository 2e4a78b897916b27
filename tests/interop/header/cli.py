"""cli.py URL WSDL [CALLS]: exits 0 when the counter answers 1,2,3,... The session's header is copied from answer to request."""
import sys

import zeep


class Session(zeep.Plugin):
    """The WSDL does not declare the header, so zeep does not hand it out."""

    header = None

    def ingress(self, envelope, http_headers, operation):
        found = envelope.find(".//{urn:lab:node}Session")
        if found is not None:
            self.header = found
        return envelope, http_headers


url, wsdl, calls = sys.argv[1], sys.argv[2], int((sys.argv[3:] or [3])[0])
session, bad = Session(), 0
client = zeep.Client(wsdl, plugins=[session])
port = client.create_service("{urn:lab:node}CounterBinding", url)
for i in range(1, calls + 1):
    if i > 1:
        sys.stdin.readline()        # a test may hold it here
    try:
        got = port.Next(_soapheaders=[session.header] if session.header is not None else [])
        print(f"call {i} -> {got}", flush=True)
        bad |= got != i
    except Exception as e:
        print(f"call {i} failed: {type(e).__module__}.{type(e).__name__} {getattr(e, 'code', '')}: {e}", flush=True)
        bad = 1
sys.exit(bad)
