# Writes the distances as a table, the villages sorted by how well they suit as a centre.
use strict;
use warnings;

sub rows {
    open my $in, '<', $_[0] or die "cannot read $_[0]: $!\n";
    return map { chomp; [split /\t/] } <$in>;
}
my @centre = rows('/input/centre/centre.tsv');
my %km;
$km{ $_->[0] }{ $_->[1] } = $_->[2] for rows('/input/routes/routes.tsv');

open my $out, '>', '/output/table.txt' or die "cannot write: $!\n";
for my $row (@centre) {
    my ($from, $total) = @$row;
    printf $out '%-13s', $from;
    printf $out '%4s', $km{$from}{ $_->[0] } // '-' for @centre;
    print $out "   all: $total km\n";
}
close $out or die "cannot write: $!\n";
