# The list of loads: place, goods, tonnes.
set -eu
cat >/output/cargo.csv <<'END'
North Quay,timber,420
North Quay,paper,180
Salt Basin,salt,950
Salt Basin,timber,610
Old Harbour,fish,75
Old Harbour,salt,240
East Pier,steel,1300
East Pier,paper,330
East Pier,timber,505
END
