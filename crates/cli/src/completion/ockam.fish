# Completion of ockam in fish. Save it as ~/.config/fish/completions/ockam.fish

function __ockam_complete
    set -l words (commandline --current-process --tokenize --cut-at-cursor)
    set -l typed (commandline --current-token --cut-at-cursor)
    # Without quotes, or without the one that is still open.
    set -l current (string unescape -- $typed 2>/dev/null)
    or set current (string replace --regex -- '^["\']' '' $typed)
    set -l program (string replace --regex -- '^~/' "$HOME/" $words[1])
    # An alias, for example.
    command --query -- $program
    or set program ockam
    for line in (env OCKAM_COMPLETE=fish $program -- $words "$current" 2>/dev/null)
        set -l parts (string split -- \t $line)
        echo $parts[1]\t$parts[3]
    end
end

complete --command ockam --no-files --keep-order --arguments '(__ockam_complete)'
