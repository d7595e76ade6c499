# Completion of pipex and its programs in bash; pipex-complete knows what a word may become.

_pipex() {
    local - IFS=$'\n' rest=${COMP_LINE:0:COMP_POINT} words=() part trimmed breaks='' i c lines
    # bash has cut words at characters such as "=" and ":", which pipex's do not end at.
    for ((i = 0; i <= COMP_CWORD; i++)); do
        part=${COMP_WORDS[i]}
        trimmed=${rest#"${rest%%[![:space:]]*}"}
        ((i < COMP_CWORD)) || part=$trimmed
        if [[ $i == 0 || $trimmed != "$rest" || -z $rest ]]; then words+=("$part"); else words[${#words[@]} - 1]+=$part; fi
        rest=${trimmed#"$part"}
    done
    COMPREPLY=()
    lines=$(pipex-complete --words -- "${words[@]}" 2>/dev/null) || return 0 # it may be a file
    # What stands before the last of these characters stays as it is.
    for c in = : @; do [[ $COMP_WORDBREAKS != *"$c"* ]] || breaks+=$c; done
    part=${words[${#words[@]} - 1]}
    [[ -n $breaks ]] && part=${part%"${part##*["$breaks"]}"} || part=''
    compopt +o default +o bashdefault 2>/dev/null
    set -f # until the function returns
    # shellcheck disable=SC2206 # a word a line
    COMPREPLY=($lines)
    [[ -z $part ]] || COMPREPLY=("${COMPREPLY[@]#"$part"}")
    [[ ${#COMPREPLY[@]} != 1 || ${COMPREPLY[0]} != *[=:] ]] || compopt -o nospace 2>/dev/null
}

# shellcheck disable=SC2046 # one word a program
complete -o default -o bashdefault -F _pipex $({ printf '%s\n' pipex; compgen -c pipex-; } | sort -u)
