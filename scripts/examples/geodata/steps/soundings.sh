# Makes 300 soundings, the same each time: number, lon, lat, depth in metres.
set -eu
awk '
	function random() { return (seed = seed * 16807 % 2147483647) / 2147483647 }
	BEGIN {
		seed = 2024
		for (n = 1; n <= 300; n++) {
			lon = 4 + random()
			lat = 53 + 0.6 * random()
			printf "%d\t%.4f\t%.4f\t%.1f\n", n, lon, lat, 2 + 20 * (lat - 53) + 6 * random()
		}
	}' >/output/soundings.tsv
