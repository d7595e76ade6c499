# For each region: the number of soundings, and the least, mean and greatest depth.
set -eu
awk -F '\t' '
	!n[$5]++ { least[$5] = most[$5] = $4 }
	{ sum[$5] += $4 }
	$4 + 0 < least[$5] + 0 { least[$5] = $4 }
	$4 + 0 > most[$5] + 0 { most[$5] = $4 }
	END { for (r in n) printf "%s\t%d\t%.1f\t%.1f\t%.1f\n", r, n[r], least[r], sum[r] / n[r], most[r] }
' /input/assign/assigned.tsv | sort >/output/summary.tsv
