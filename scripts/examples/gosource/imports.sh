# Each imported package, and how many packages import it other than in tests.
set -eu
cd /src
cut -f 1 /input/sources/sources.tsv | grep -v '_test\.go$' | xargs awk '
	FNR == 1 { package = FILENAME; if (!sub("/[^/]*$", "", package)) package = "."; block = 0 }
	/^import \(/ { block = 1; next }
	/^\)/ { block = 0 }
	block || /^import / { sub(/\/\/.*/, "") }
	(block || /^import /) && match($0, /"[A-Za-z0-9._\/-]+"/) {
		print substr($0, RSTART + 1, RLENGTH - 2) "\t" package
	}' | sort -u | awk -F '\t' '
	BEGIN { OFS = "\t" }
	{ importers[$1]++ }
	END { for (p in importers) print p, importers[p] }
' | sort >/output/imports.tsv
