# The loads of more than 500 tonnes, the heaviest first.
set -eu
awk -F , '$3 > 500 { printf "%-12s %-8s %6d t\n", $1, $2, $3 }' /input/cargo/cargo.csv |
	sort -k 1.22,1.28nr >/output/heavy.txt
