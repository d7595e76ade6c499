# The identifiers in every fourth Go file, from number $PART on: word, count.
# Comments, strings and keywords are left out; only ASCII letters count.
set -eu
cd /src
awk -F '\t' 'NR % 4 == ENVIRON["PART"] % 4 { print $1 }' /input/sources/sources.tsv | xargs awk '
	BEGIN {
		FS = "[^A-Za-z0-9_]+"
		split("break case chan const continue default defer else fallthrough for func go goto if " \
			"import interface map package range return select struct switch type var", k, " ")
		for (i in k) keyword[k[i]]
	}
	FNR == 1 { until = "" }
	until != "" { # inside a raw string or a comment
		if (!(i = index($0, until))) next
		$0 = substr($0, i + length(until))
		until = ""
	}
	{
		if (/["\047`\/]/) gsub(/"([^"\\]|\\.)*"|\047([^\047\\]|\\.)+\047|`[^`]*`|\/\*([^*]|\*+[^*\/])*\*+\/|\/\/.*/, " ")
		if (i = index($0, "`")) { until = "`"; $0 = substr($0, 1, i - 1) }
		else if (i = index($0, "/*")) { until = "*/"; $0 = substr($0, 1, i - 1) }
		for (i = 1; i <= NF; i++) count[$i]++
	}
	END { for (w in count) if (w ~ /^[A-Za-z_]/ && w != "_" && !(w in keyword)) print w "\t" count[w] }
' >/output/words.tsv
