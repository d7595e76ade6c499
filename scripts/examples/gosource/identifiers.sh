# The parts' words as one list, the most used first.
set -eu
awk -F '\t' '
	BEGIN { OFS = "\t" }
	{ count[$1] += $2 }
	END { for (w in count) print w, count[w] }
' /input/words-*/words.tsv | sort -t "$(printf '\t')" -k 2,2nr -k 1,1 >/output/identifiers.tsv
