# Each package: its name, files, lines, and lines of tests.
set -eu
awk -F '\t' '
	BEGIN { OFS = "\t" }
	$1 ~ /_test\.go$/ { tests[$2] += $3 }
	{ files[$2]++; lines[$2] += $3 }
	END { for (p in files) print p, files[p], lines[p], tests[p] + 0 }
' /input/sources/sources.tsv | sort >/output/packages.tsv
