# Draws a map: outlines, and a dot for each sounding, darker for deeper ones.
set -eu
awk -F '\t' '
	function x(lon) { return sprintf("%.1f", (lon - 4) * 600) }
	function y(lat) { return sprintf("%.1f", (53.6 - lat) * 1000) }
	BEGIN { print "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 600 600\" font-family=\"sans-serif\" font-size=\"14\">" }
	NR == FNR {
		printf "<polygon fill=\"none\" stroke=\"black\" points=\""
		for (i = 2; i <= NF; i += 2) printf "%s,%s ", x($i), y($(i + 1))
		printf "\"/>\n<text x=\"%s\" y=\"%s\">%s</text>\n", x($2), y($3), $1
		next
	}
	{ printf "<circle cx=\"%s\" cy=\"%s\" r=\"3\" fill=\"hsl(210,80%%,%d%%)\"/>\n", x($2), y($3), 85 - 3 * $4 }
	END { print "</svg>" }' /input/regions/regions.tsv /input/assign/assigned.tsv >/output/map.svg
