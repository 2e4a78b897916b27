"""srv.py PORT: a spyne node. The counter belongs to a session, whose id is a cookie of the service's own."""
import http.cookies
import sys
import uuid
from wsgiref.simple_server import WSGIRequestHandler, make_server

from spyne import Application, Integer, ServiceBase, rpc
from spyne.protocol.soap import Soap11
from spyne.server.wsgi import WsgiApplication

counters = {}


class Counter(ServiceBase):
    @rpc(_returns=Integer)
    def increment(ctx):
        sent = http.cookies.SimpleCookie(ctx.transport.req_env.get("HTTP_COOKIE", "")).get("spyne_session")
        session = sent.value if sent and sent.value in counters else uuid.uuid4().hex
        counters[session] = counters.get(session, 0) + 1
        ctx.transport.resp_headers["Set-Cookie"] = f"spyne_session={session}; Path=/; HttpOnly"
        return counters[session]


class Quiet(WSGIRequestHandler):
    def log_message(self, *_):
        pass


application = WsgiApplication(Application([Counter], "urn:lab:counter", in_protocol=Soap11(), out_protocol=Soap11()))
make_server("127.0.0.1", int(sys.argv[1]), application, handler_class=Quiet).serve_forever()
