# The Go files below /src, apart from test data: path, package, lines, bytes.
set -eu
cd /src
find . -type f -name '*.go' ! -path '*/testdata/*' -print0 | xargs -0 wc -lc | awk '
	BEGIN { OFS = "\t" }
	$3 ~ /^\.\/.*\.go$/ { # not the totals
		path = substr($3, 3)
		package = path
		if (!sub("/[^/]*$", "", package)) package = "."
		print path, package, $1, $2
	}' | sort >/output/sources.tsv
