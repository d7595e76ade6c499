# Both branches on one page.
set -eu
{
	echo "CARGO BY PLACE"
	cat /input/places/places.txt
	echo
	echo "HEAVY LOADS"
	cat /input/heavy/heavy.txt
} >/output/report.txt
