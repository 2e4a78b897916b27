// node cli.js URL [CALLS]: exits 0 when the counter answers 1,2,3,...
const fs = require('fs'), path = require('path'), soap = require('soap');
const gate = () => { try { fs.readSync(0, Buffer.alloc(1), 0, 1); } catch (e) { /* no input: nothing holds it */ } };
(async () => {
  const [url, calls] = [process.argv[2], Number(process.argv[3] || 3)];
  const c = await soap.createClientAsync(path.join(__dirname, 'counter.wsdl'), { endpoint: url });
  let bad = 0;
  for (let i = 1; i <= calls; i++) {
    if (i > 1) gate();
    try {
      const [r, , header] = await c.NextAsync({});
      const id = typeof header.Session === 'object' ? header.Session.$value : header.Session;
      c.clearSoapHeaders();
      c.addSoapHeader(`<l:Session xmlns:l="urn:lab:node">${id}</l:Session>`);
      console.log(`call ${i} -> ${r.n}`);
      if (Number(r.n) !== i) bad = 1;
    } catch (e) {
      console.log(`call ${i} failed: ${e.name} ${e.root ? 'Fault' : 'no Fault'}: ${e.message}`);
      bad = 1;
    }
  }
  process.exit(bad);
})();
