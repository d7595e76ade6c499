# A report of the results of the other steps, for people.
set -eu
cd /input
tab=$(printf '\t')
figure() { awk -F '\t' "$1"' END { printf "%d", n }' "$2"; }
# top N FILE COLUMN WORDS...: the rows with the most in a column
top() {
	n=$1 file=$2 column=$3
	shift 3
	sort -t "$tab" -k "$column,${column}nr" -k 1,1 "$file" | head -n "$n" |
		awk -F '\t' -v c="$column" -v what="$*" '{ printf "%9d %s  %s\n", $c, what, $1 }'
}
of() { awk -F '\t' -v kind="$1" '$1 == kind' licences/licences.tsv | sort -t "$tab" -k 3,3nr | awk -F '\t' '{ printf "%9d files  %s\n", $3, $2 }'; }

{
	echo "THE GO SOURCE TREE"
	echo
	printf '%9d Go files, %d of them tests\n' "$(figure '{ n++ }' sources/sources.tsv)" "$(figure '$1 ~ /_test.go$/ { n++ }' sources/sources.tsv)"
	printf '%9d packages\n' "$(figure '{ n++ }' packages/packages.tsv)"
	printf '%9d lines, %d %% of them in tests\n' "$(figure '{ n += $3 }' packages/packages.tsv)" \
		"$(figure '{ t += $4; l += $3; n = 100 * t / l + 0.5 }' packages/packages.tsv)"
	awk -F '\t' '{ printf "%9d functions  %s\n", $2, $1 }' tests/tests.tsv
	echo
	echo "Largest packages"
	top 8 packages/packages.tsv 3 lines
	echo
	echo "Most imported, by how many packages"
	top 8 imports/imports.tsv 2 packages
	echo
	echo "Most used identifiers"
	top 12 identifiers/identifiers.tsv 2 times
	echo
	echo "Licences named"
	of licence
	echo
	echo "Holders of the copyright"
	of holder
	echo
	printf '%9d files are generated\n' "$(figure '$1 == "generated" && $2 == "yes" { n = $3 }' licences/licences.tsv)"
} >/output/report.txt
