# Finds the region of each sounding: a line from a point inside a region to the east
# crosses the region's outline an odd number of times.
set -eu
awk '
	BEGIN { FS = OFS = "\t" }
	function inside(r, x, y,    i, odd) {
		for (i = 2; i + 3 <= corners[r]; i += 2)
			if ((at[r, i + 1] > y) != (at[r, i + 3] > y) &&
				x < at[r, i] + (at[r, i + 2] - at[r, i]) * (y - at[r, i + 1]) / (at[r, i + 3] - at[r, i + 1])) odd = !odd
		return odd
	}
	NR == FNR {
		name[++regions] = $1
		corners[regions] = NF
		for (i = 2; i <= NF; i++) at[regions, i] = $i + 0
		next
	}
	{
		where = "open water"
		for (r = 1; r <= regions; r++) if (inside(r, $2 + 0, $3 + 0)) { where = name[r]; break }
		print $0, where
	}' /input/regions/regions.tsv /input/soundings/soundings.tsv >/output/assigned.tsv
