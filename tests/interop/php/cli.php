<?php // php cli.php URL [CALLS] [11|12]: exits 0 when the sums are 1,2,3,...
$n = (int)($argv[2] ?? 3); $bad = 0;
$c = new SoapClient(null, ['location' => $argv[1], 'uri' => 'urn:lab:cart', 'soap_version' => ($argv[3] ?? '11') === '12' ? SOAP_1_2 : SOAP_1_1, 'keep_alive' => true]);
for ($i = 1; $i <= $n; $i++) {
    if ($i > 1) fgets(STDIN);      // a test may hold it here
    try { $r = $c->add(1); echo "call $i -> $r\n"; if ($r !== $i) $bad = 1; }
    catch (SoapFault $f) { echo "call $i failed: SoapFault {$f->faultcode}: {$f->faultstring}\n"; $bad = 1; }
}
if (!$bad) $c->done();
exit($bad);
