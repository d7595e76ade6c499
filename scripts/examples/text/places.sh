# The number of loads and the tonnes at each place.
set -eu
awk -F , '
	{ loads[$1]++; tonnes[$1] += $3 }
	END { for (p in loads) printf "%-12s %2d loads %6d t\n", p, loads[p], tonnes[p] }
' /input/cargo/cargo.csv | sort >/output/places.txt
