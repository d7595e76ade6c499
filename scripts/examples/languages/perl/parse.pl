# Reads the roads from the notes: from, to, kilometres. Other lines are skipped.
use strict;
use warnings;

open my $in,  '<', '/roads.txt'         or die "cannot read the notes: $!\n";
open my $out, '>', '/output/roads.tsv' or die "cannot write: $!\n";
while (<$in>) {
    next unless /^(\w[\w ]*?)\s+to\s+(\w[\w ]*?)\s*:\s*(\d+) km/;
    print $out join("\t", $1, $2, $3), "\n";
}
close $out or die "cannot write: $!\n";
