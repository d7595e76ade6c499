# Checks that the report contains everything that was loaded.
set -eu
loaded=$(awk -F , '{ t += $3 } END { print t }' /input/cargo/cargo.csv)
told=$(awk '/^$/ { exit } { t += $(NF - 1) } END { print t }' /input/report/report.txt)
echo "$told of $loaded t are in the report" | tee /output/audit.txt
[ "$told" = "$loaded" ]
