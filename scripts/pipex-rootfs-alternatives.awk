# Prints links with their targets, as "/usr/bin/awk /etc/alternatives/awk": those of each
# group of update-alternatives of which a choice is among the files. It is the choice that this
# machine has made, or else the one of the highest priority.
# Input: first the paths of the files, then the answers of "update-alternatives --query" for
# all groups, with "Name:" after the last one.

function made(name, link, target) { if (target in have) print link, "/etc/alternatives/" name "\n/etc/alternatives/" name, target }

NR == FNR { have[$0]; next }

$1 == "Name:" && choice != "" {
    made(name, links[name], choice)
    for (s in links) if ((choice, s) in target) made(s, links[s], target[choice, s])
}
$1 == "Name:" { name = $2; split("", links); split("", target); choice = of = "" }
$1 == "Link:" { links[name] = $2 }
$1 == "Value:" { value = $2 }
$1 == "Alternative:" { of = $2 }
$1 == "Priority:" && of in have && (choice == "" || of == value || (choice != value && $2 > most)) { choice = of; most = $2 }
/^ / { if (of == "") links[$1] = $2; else target[of, $1] = $2 } # its slaves, such as manuals
