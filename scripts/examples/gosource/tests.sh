# The number of functions of each kind that go test runs.
set -eu
cd /src
cut -f 1 /input/sources/sources.tsv | grep '_test\.go$' | xargs awk '
	BEGIN { OFS = "\t" }
	match($0, /^func (Test|Benchmark|Fuzz|Example)[A-Z0-9_(]/) { kinds[substr($2, 1, RLENGTH - 6)]++ }
	END { for (k in kinds) print k, kinds[k] }
' | awk -F '\t' '
	BEGIN { OFS = "\t" }
	{ kinds[$1] += $2 } # xargs may run more than one awk
	END { for (k in kinds) print k, kinds[k] }
' | sort >/output/tests.tsv
