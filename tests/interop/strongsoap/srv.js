// srv.js PORT: a strong-soap node; the session id is issued in the answer's body and returned in the header {urn:lab:node}Session
const fs = require('fs'), http = require('http'), path = require('path'), crypto = require('crypto'), {soap} = require('strong-soap');
const counters = new Map();
const value = h => { const s = h && h.Session; return s && (typeof s === 'object' ? s.$value : s); };
const server = http.createServer((q, r) => { r.statusCode = 404; r.end(); });
const Next = (args, cb, headers) => {
  const id = value(headers);
  if (!id) { const n = crypto.randomUUID(); counters.set(n, 1); return {n: 1, session: n}; }
  if (!counters.has(id)) throw {Fault: {faultcode: 'soap:Client.UnknownSession', faultstring: 'unknown session ' + id, statusCode: 500}};
  counters.set(id, counters.get(id) + 1);
  return {n: counters.get(id), session: id};
};
server.listen(Number(process.argv[2]), '127.0.0.1', () => {
  soap.listen(server, '/counter', {CounterService: {CounterPort: {Next}}}, fs.readFileSync(path.join(__dirname, 'counter.wsdl'), 'utf8'));
});
