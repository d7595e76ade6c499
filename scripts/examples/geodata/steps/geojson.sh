# Writes the regions with their figures, and the soundings with their regions, as GeoJSON.
set -eu
jq -c --rawfile summary /input/summary/summary.tsv --rawfile assigned /input/assign/assigned.tsv '
	def rows: split("\n")[:-1][] | split("\t");
	([$summary | rows | {key: .[0], value: {soundings: (.[1] | tonumber), meanDepth: (.[3] | tonumber)}}] | from_entries) as $of
	| .features[].properties |= . + $of[.name]
	| .features += [$assigned | rows | {
		type: "Feature",
		properties: {sounding: (.[0] | tonumber), depth: (.[3] | tonumber), region: .[4]},
		geometry: {type: "Point", coordinates: (.[1:3] | map(tonumber))}
	}]' /regions.geojson >/output/soundings.geojson
