# The licence and the copyright holder that each file names in its first 30 lines.
set -eu
cd /src
cut -f 1 /input/sources/sources.tsv | xargs awk '
	function told() { if (file != "") { print "licence\t" licence; print "holder\t" holder; print "generated\t" generated } }
	FNR == 1 { told(); file = FILENAME; licence = holder = "(none named)"; generated = "no" }
	FNR > 30 { next }
	/^\/\/ Code generated .* DO NOT EDIT\.$/ { generated = "yes" }
	/BSD-style/ { licence = "BSD-style" }
	/Apache License/ { licence = "Apache" }
	/Permission is hereby granted, free of charge/ { licence = "MIT" }
	holder == "(none named)" && match($0, /Copyright (\([cC]\) |© )?[0-9][-0-9, ]* /) {
		holder = substr($0, RSTART + RLENGTH)
		sub(/^by /, "", holder)
		sub(/[.,]? *All [Rr]ights [Rr]eserved.*$/, "", holder)
		sub(/ <.*$/, "", holder)
		sub(/[.,] *$/, "", holder)
	}
	END { told() }
' | sort | uniq -c | awk '
	{ count = $1; kind = $2; sub(/^ *[0-9]+ [a-z]+\t/, ""); print kind "\t" $0 "\t" count }
' >/output/licences.tsv
