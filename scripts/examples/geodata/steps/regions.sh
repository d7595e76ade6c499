# Reads the regions from GeoJSON and writes them as lines: name, and lon lat of each
# corner of the outline.
set -eu
jq -r '.features[] | [.properties.name, (.geometry.coordinates[0][] | .[])] | @tsv' /regions.geojson >/output/regions.tsv
