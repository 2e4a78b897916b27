// cli.js WSDL [CALLS]: exits 0 when the counter answers 1,2,3,... The session's id is copied from the answer's body into the header.
const fs = require('fs'), {soap} = require('strong-soap');
const gate = () => { try { fs.readSync(0, Buffer.alloc(1), 0, 1); } catch (e) { /* no input: nothing holds it */ } };
const [wsdl, calls] = [process.argv[2], Number(process.argv[3] || 3)];
soap.createClient(wsdl, {}, async (error, client) => {
  if (error) throw error;
  client.setEndpoint(wsdl.split('?')[0]);     // the WSDL is a file of the service, whose address leads nowhere
  let bad = 0;
  for (let i = 1; i <= calls; i++) {
    if (i > 1) gate();
    await new Promise(done => client.Next({}, (e, result) => {
      if (e) {
        console.log(`call ${i} failed: ${e.name} ${e.root || e.Fault ? 'Fault' : 'no Fault'}: ${e.message}`);
        bad = 1;
      } else {
        console.log(`call ${i} -> ${result.n}`);
        if (Number(result.n) !== i) bad = 1;
        client.clearSoapHeaders();
        client.addSoapHeader(`<l:Session xmlns:l="urn:lab:node">${result.session}</l:Session>`);
      }
      done();
    }));
  }
  process.exit(bad);
});
