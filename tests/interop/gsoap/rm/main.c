/* rm srv PORT: a node; rm cli URL [CALLS] [12|11] [LIFETIME_S] [PAUSE_S]: a client, exits 0 when the sums are 1,2,3,...
   The state is one sum for each WS-RM sequence. */
#include "soapH.h"
#include "wsaapi.h"
#include "wsrmapi.h"
#include "rm.nsmap"
static struct { char id[80]; double sum; } state[64];
static int states;
int ns__add(struct soap *soap, double a, struct ns__addResponse *r) {
  const char *id; int i;
  if (soap_wsrm_check(soap)) return soap->error;
  id = soap->header->wsrm__Sequence->Identifier;
  for (i = 0; i < states && i < 64; i++) if (!strcmp(state[i].id, id)) break;
  if (i == states || i == 64) { i = states++ % 64; snprintf(state[i].id, sizeof state[i].id, "%s", id); state[i].sum = 0; }
  r->sum = state[i].sum += a;
  return soap_wsrm_reply(soap, NULL, "urn:lab:rm/addResponse");
}
int SOAP_ENV__Fault(struct soap *soap, char *a, char *b, char *c, struct SOAP_ENV__Detail *d, struct SOAP_ENV__Code *e,
                    struct SOAP_ENV__Reason *f, char *g, char *h, struct SOAP_ENV__Detail *i) {
  soap_print_fault(soap, stderr); return SOAP_OK;
}
static void fault(struct soap *soap) {
  const char **code = soap_faultcode(soap), **text = soap_faultstring(soap);
  printf("%d %s: %s\n", soap->error, code && *code ? *code : "", text && *text ? *text : ""); fflush(stdout);
}
int main(int argc, char **argv) {
  struct soap *soap = soap_new1(SOAP_XML_INDENT);
  soap_register_plugin(soap, soap_wsa); soap_register_plugin(soap, soap_wsrm);
  if (!strcmp(argv[1], "srv")) {
    soap->bind_flags = SO_REUSEADDR; soap->recv_timeout = 5;
    if (!soap_valid_socket(soap_bind(soap, "127.0.0.1", atoi(argv[2]), 100))) { soap_print_fault(soap, stderr); return 1; }
    for (;;) {
      if (!soap_valid_socket(soap_accept(soap))) continue;
      if (soap_serve(soap)) soap_print_fault(soap, stderr);
      soap_destroy(soap); soap_end(soap);
    }
  }
  soap_wsrm_sequence_handle seq; struct ns__addResponse r; int i, bad = 0, n = argc > 3 ? atoi(argv[3]) : 3;
  if (argc > 4 && !strcmp(argv[4], "12")) { namespaces[0].ns = "http://www.w3.org/2003/05/soap-envelope"; namespaces[1].ns = "http://www.w3.org/2003/05/soap-encoding"; soap_set_namespaces(soap, namespaces); }
  if (soap_wsrm_create_offer(soap, argv[2], NULL, NULL, (argc > 5 ? atoi(argv[5]) : 60) * 1000, NoDiscard, NULL, &seq)) { soap_print_fault(soap, stdout); return 2; }
  for (i = 1; i <= n; i++) {
    if (i > 1) getchar(); /* a test may hold it here */
    if (soap_wsrm_request_acks(soap, seq, NULL, "urn:lab:rm/add") || soap_call_ns__add(soap, argv[2], "urn:lab:rm/add", 1.0, &r)) { printf("call %d failed: ", i); fault(soap); bad = 1; }
    else { printf("call %d -> %g\n", i, r.sum); fflush(stdout); bad |= r.sum != i; }
    if (argc > 6) sleep(atoi(argv[6]));
  }
  if (soap_wsrm_close(soap, seq, NULL)) { soap_print_fault(soap, stdout); bad = 1; }
  if (soap_wsrm_terminate(soap, seq, NULL)) { soap_print_fault(soap, stdout); bad = 1; }
  soap_wsrm_seq_free(soap, seq);
  return bad;
}
