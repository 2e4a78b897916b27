# perl cli.pl URL [CALLS]: exits 0 when the counter answers 1,2,3,...
use strict; use warnings; use SOAP::Lite;
my ($url, $n) = (@ARGV, 3); my $bad = 0; $| = 1;
my $s = SOAP::Lite->uri('urn:Counter')->proxy($url);
my $o = $s->call('new' => 0)->result or die 'no object';
my $ref = sub { bless {id => $o->{id}}, ref $o };  # a copy for each call: SOAP::Lite writes the answer's header block into its argument
for my $i (1 .. $n) {
    <STDIN> if $i > 1;      # a test may hold it here
    my $r = eval { $s->call(next => $ref->()) };
    if (!$r) { print "call $i failed: died: $@\n"; $bad = 1; next }
    if ($r->fault) { print "call $i failed: SOAP::Fault ", $r->faultcode, ': ', $r->faultstring, "\n"; $bad = 1 }
    else { print "call $i -> ", $r->result, "\n"; $bad = 1 if $r->result != $i }
}
exit $bad;
