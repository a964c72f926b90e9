# Completion of ockam in PowerShell. Load it with
#   ockam completion --shell powershell | Out-String | Invoke-Expression

Register-ArgumentCompleter -Native -CommandName ockam -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)

    $words = @($commandAst.CommandElements |
        Where-Object { $_.Extent.EndOffset -lt $cursorPosition } |
        ForEach-Object { if ($_ -is [System.Management.Automation.Language.StringConstantExpressionAst]) { $_.Value } else { $_.Extent.Text } })
    $program = $words[0]
    # An alias, for example.
    if (-not (Get-Command -Name $program -CommandType Application -ErrorAction Ignore)) {
        $program = 'ockam'
    }
    $current = $wordToComplete -replace "^['""]", '' -replace "['""]$", ''
    # Empty words would be dropped, so each has a sign in front.
    $handed = @($words + $current | ForEach-Object { "=$_" })

    $before = $env:OCKAM_COMPLETE
    $env:OCKAM_COMPLETE = 'powershell'
    try {
        & $program '--' @handed 2>$null | ForEach-Object {
            $value, $name, $about = $_ -split "`t"
            if (-not $about) { $about = $name }
            [System.Management.Automation.CompletionResult]::new($value, $name, 'ParameterValue', $about)
        }
    } finally {
        $env:OCKAM_COMPLETE = $before
    }
}
