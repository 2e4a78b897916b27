/* ck srv PORT: a node; ck cli URL [CALLS]: a client, exits 0 when the sums are 1,2,3,...
   Session id in a cookie "sid", state in the node's memory: the pattern of the cookie chapter of the gSOAP manual. */
#include "soapH.h"
#include "ck.nsmap"
static struct { char id[40]; double sum; } state[64];
static int states;
int ns__add(struct soap *soap, double a, struct ns__addResponse *r) {
  const char *id = soap_env_cookie_value(soap, "sid", NULL, NULL); int i;
  for (i = 0; id && i < states && i < 64; i++) if (!strcmp(state[i].id, id)) break;
  if (!id || i == states || i == 64) {                 /* none, or unknown here: silently a new session */
    i = states++ % 64; snprintf(state[i].id, sizeof state[i].id, "%s", soap_rand_uuid(soap, "")); state[i].sum = 0;
    soap_set_cookie(soap, "sid", state[i].id, NULL, NULL);
  }
  soap_set_cookie_expire(soap, "sid", 600, NULL, NULL);
  r->sum = state[i].sum += a;
  return SOAP_OK;
}
static void fault(struct soap *soap) {
  const char **code = soap_faultcode(soap), **text = soap_faultstring(soap);
  printf("%d %s: %s\n", soap->error, code && *code ? *code : "", text && *text ? *text : ""); fflush(stdout);
}
int main(int argc, char **argv) {
  struct soap *soap = soap_new1(argc > 4 && !strcmp(argv[4], "chunk") ? SOAP_IO_CHUNK | SOAP_IO_KEEPALIVE : SOAP_IO_KEEPALIVE);
  if (!strcmp(argv[1], "srv")) {
    soap->bind_flags = SO_REUSEADDR; soap->recv_timeout = 1; soap->cookie_domain = "127.0.0.1"; soap->cookie_path = "/";
    if (!soap_valid_socket(soap_bind(soap, "127.0.0.1", atoi(argv[2]), 100))) { soap_print_fault(soap, stderr); return 1; }
    for (;;) {
      if (!soap_valid_socket(soap_accept(soap))) continue;
      if (soap_serve(soap)) soap_print_fault(soap, stderr);
      soap_destroy(soap); soap_end(soap); soap_free_cookies(soap);
    }
  }
  struct ns__addResponse r; int i, bad = 0, n = argc > 3 ? atoi(argv[3]) : 3;
  for (i = 1; i <= n; i++) {
    if (i > 1) getchar(); /* a test may hold it here */
    if (soap_call_ns__add(soap, argv[2], NULL, 1.0, &r)) { printf("call %d failed: ", i); fault(soap); bad = 1; }
    else { printf("call %d -> %g\n", i, r.sum); fflush(stdout); bad |= r.sum != i; }
  }
  return bad;
}
