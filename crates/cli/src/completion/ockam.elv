# Completion of ockam in elvish. Load it with
#   eval (ockam completion --shell elvish | slurp)

use str

set edit:completion:arg-completer[ockam] = {|@words|
    var program = $words[0]
    # An alias, for example.
    if (not (has-external $program)) {
        set program = ockam
    }
    try {
        env OCKAM_COMPLETE=elvish $program -- $@words 2>/dev/null | from-lines | each {|line|
            var value name about = (str:split "\t" $line)
            if (eq $about '') {
                edit:complex-candidate $value
            } else {
                edit:complex-candidate $value &display=$name'  ('$about')'
            }
        }
    } catch {
        nop
    }
}
