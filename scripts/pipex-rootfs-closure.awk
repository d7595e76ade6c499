# Prints the packages in the variable "named" and all that they depend on, in the words of
# dpkg-query. If some are not installed, prints only these, in one line, and exits 1.
# Input: a line a package, of status, architecture, name, dpkg-query's name, what it provides, and
# its dependencies. Of "A | B" the first that is installed, or else provided, counts.
# dpkg is left out: packages need it for their installation only.

function bare(s) { sub(/^ */, "", s); sub(/[ :(].*/, "", s); return s } # without version and architecture

function chosen(any,    n, i, a) {
    n = split(any, a, "|")
    for (i = 1; i <= n; i++) if (bare(a[i]) in full) return bare(a[i])
    for (i = 1; i <= n; i++) if (bare(a[i]) in provider) return provider[bare(a[i])]
}

$1 != "installed" || ($2 != arch && $2 != "all") { next }

{
    full[$3] = $4
    needs[$3] = $6
    n = split($5, virtual, ",")
    for (i = 1; i <= n; i++) if (!(bare(virtual[i]) in provider)) provider[bare(virtual[i])] = $3
}

END {
    for (last = split(named, todo, " "); ++at <= last;) {
        if (!(p = chosen(todo[at]))) { missing = missing " " bare(todo[at]); continue }
        if (p in found) continue
        found[p]
        all = all full[p] "\n"
        n = split(needs[p], need, ",")
        for (i = 1; i <= n; i++) if (bare(need[i]) !~ /^(dpkg)?$/) todo[++last] = need[i]
    }
    printf "%s", missing ? missing : all
    exit missing != ""
}
