#compdef ockam
# Completion of ockam in zsh. Load it with
#   source <(ockam completion --shell zsh)
# or save it as _ockam in a folder of $fpath.

_ockam() {
    local program="${(Q)words[1]}" line value name about
    local -a values shown open open_shown
    program="${program/#\~\//$HOME/}"
    # An alias, for example.
    whence -p -- "$program" >/dev/null 2>&1 || program=ockam
    for line in "${(@f)$(OCKAM_COMPLETE=zsh command "$program" -- "${(@Q)words[1,CURRENT-1]}" "${(Q)PREFIX}" 2>/dev/null)}"; do
        [[ -n $line ]] || continue
        value="${line%%$'\t'*}"
        name="${${line#*$'\t'}%%$'\t'*}"
        about="${line##*$'\t'}"
        [[ -n $about ]] && name="$name  -- $about"
        # More is to come behind these.
        if [[ $value == *[=/] ]]; then
            open+=("$value") open_shown+=("$name")
        else
            values+=("$value") shown+=("$name")
        fi
    done
    (( $#values )) && compadd -l -V ockam -d shown -a values
    (( $#open )) && compadd -l -V ockam -S '' -d open_shown -a open
    (( $#values + $#open ))
}

if [[ $funcstack[1] == _ockam ]]; then
    _ockam "$@"
else
    (( $+functions[compdef] )) || { autoload -Uz compinit && compinit }
    compdef _ockam ockam
fi
