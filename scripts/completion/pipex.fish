# Completion of pipex and its programs in fish; pipex-complete knows what a word may become.

function __pipex_complete
    set -l words (commandline -opc) (commandline -ct)
    pipex-complete -- $words 2>/dev/null
    or __fish_complete_path (commandline -ct)
end

for program in pipex (string replace -r '.*/' '' -- $PATH/pipex-*)
    complete -c $program -f -a '(__pipex_complete)'
end
