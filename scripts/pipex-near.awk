# awk -f pipex-near.awk WORD CANDIDATE...
#
# Prints the candidate that WORD was meant to be: one that differs from it in at most two
# characters and in no more than half of them, or that begins with it. Two neighbours that
# are swapped count as one. Prints nothing if there is none. The Go programs do the same
# (lib/name).

function least(a, b) { return a < b ? a : b }

# distance returns how many characters must be inserted, removed or replaced.
function distance(a, b, i, j, row, above, next_above) {
    for (j = 0; j <= length(b); j++) row[j] = j
    for (i = 1; i <= length(a); i++) {
        above = row[0]
        row[0] = i
        for (j = 1; j <= length(b); j++) {
            next_above = row[j]
            row[j] = least(least(row[j], row[j - 1]) + 1, above + (substr(a, i, 1) != substr(b, j, 1)))
            above = next_above
        }
    }
    return row[length(b)]
}

# swapped says whether b is a with two neighbours swapped.
function swapped(a, b, i) {
    for (i = 1; i < length(a) && substr(a, i, 1) == substr(b, i, 1); i++);
    return b == substr(a, 1, i - 1) substr(a, i + 1, 1) substr(a, i, 1) substr(a, i + 2)
}

BEGIN {
    word = ARGV[1]
    best = 3
    for (i = 2; i < ARGC; i++) {
        d = swapped(word, ARGV[i]) ? 1 : distance(word, ARGV[i])
        if (length(word) > 2 && index(ARGV[i], word) == 1) d = least(d, 2)
        if (d < best && 2 * d <= length(ARGV[i])) {
            best = d
            near = ARGV[i]
        }
    }
    if (near) print near
}
