# Completion of ockam in bash. Load it with
#   source <(ockam completion --shell bash)
# or put it where bash-completion looks: ~/.local/share/bash-completion/completions/ockam

_ockam() {
    local program=${COMP_WORDS[0]} line
    case $program in
        "~/"*) program=$HOME/${program:2} ;;
    esac
    # An alias, for example.
    type -P -- "$program" >/dev/null 2>&1 || program=ockam
    COMPREPLY=()
    while IFS= read -r line; do
        COMPREPLY+=("$line")
    done < <(OCKAM_COMPLETE=bash command "$program" -- "${COMP_LINE:0:COMP_POINT}" "$COMP_WORDBREAKS" 2>/dev/null)
    # More is to come behind these.
    if [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *[=/] ]]; then
        compopt -o nospace 2>/dev/null
    fi
}

complete -o nosort -F _ockam ockam 2>/dev/null || complete -F _ockam ockam
