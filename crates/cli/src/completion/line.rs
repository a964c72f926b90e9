//! A command line up to the cursor, as a shell hands it over.

/// Words, the last of them unfinished.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Line {
    /// Without quotes, the program first.
    pub words: Vec<String>,
    /// What of the last word stays when the shell replaces its end.
    kept: String,
    /// How the end that is replaced is quoted.
    quote: Quote,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Quote {
    #[default]
    None,
    Single,
    Double,
}

impl Line {
    /// Words that a shell has split and freed from quotes.
    pub(super) fn of(words: impl Iterator<Item = String>) -> Self {
        Self {
            words: words.collect(),
            ..Self::default()
        }
    }

    /// A line of bash. It replaces only what follows the last of the characters at which it breaks words, and inserts
    /// what it is given without quoting it.
    pub(super) fn bash(text: &str, breaks: &str) -> Self {
        let mut words = Vec::new();
        // The word being read: whole, and up to the end that is replaced.
        let mut word: Option<String> = None;
        let mut kept = String::new();
        let mut quote = Quote::None;
        let mut letters = text.chars();
        while let Some(letter) = letters.next() {
            match (quote, letter) {
                (Quote::None, ' ' | '\t') => {
                    words.extend(word.take());
                    kept.clear();
                    continue;
                }
                (Quote::None, '\'' | '"') => {
                    quote = if letter == '"' {
                        Quote::Double
                    } else {
                        Quote::Single
                    };
                    kept.clone_from(word.get_or_insert_default());
                }
                (Quote::Single, '\'') | (Quote::Double, '"') => quote = Quote::None,
                (Quote::None | Quote::Double, '\\') => {
                    word.get_or_insert_default().extend(letters.next());
                }
                (_, letter) => {
                    let word = word.get_or_insert_default();
                    word.push(letter);
                    if quote == Quote::None && breaks.contains(letter) {
                        kept.clone_from(word);
                    }
                }
            }
        }
        words.push(word.unwrap_or_default());
        Self { words, kept, quote }
    }

    /// What bash is to insert for a word that may stand at the end. `None` when that would change what is kept.
    pub(super) fn insert(&self, value: &str) -> Option<String> {
        let rest = value.strip_prefix(self.kept.as_str())?;
        Some(match self.quote {
            // Single quotes end at the next one, whatever stands before it.
            Quote::Single => rest.replace('\'', r"'\''"),
            Quote::Double => escaped(rest, |letter| "\"\\$`".contains(letter)),
            Quote::None => escaped(rest, |letter| {
                !(letter.is_alphanumeric() || "-_./:=+,@%".contains(letter))
            }),
        })
    }
}

fn escaped(text: &str, is_special: impl Fn(char) -> bool) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        if is_special(letter) {
            escaped.push('\\');
        }
        escaped.push(letter);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_bash_becomes_words() {
        for (text, words) in [
            ("ockam ", &["ockam", ""][..]),
            ("ockam node sh", &["ockam", "node", "sh"]),
            ("ockam  show my\\ in", &["ockam", "show", "my in"]),
            ("ockam show 'my in", &["ockam", "show", "my in"]),
            ("ockam show \"a\\\"b\" ''", &["ockam", "show", "a\"b", ""]),
            ("ockam --output=js", &["ockam", "--output=js"]),
        ] {
            assert_eq!(Line::bash(text, BREAKS).words, words, "{text}");
        }
    }

    #[test]
    fn what_is_inserted_is_quoted_and_leaves_out_what_bash_keeps() {
        for (text, value, inserted) in [
            ("ockam show ", "my inlet", Some("my\\ inlet")),
            ("ockam show my\\ in", "my inlet", Some("my\\ inlet")),
            ("ockam show 'my in", "my inlet's", Some("my inlet'\\''s")),
            ("ockam show \"my", "my $x", Some("my \\$x")),
            ("ockam --output=js", "--output=json", Some("json")),
            ("ockam --output=", "other", None),
            ("ockam --at /no", "/node/n1", Some("/node/n1")),
            ("ockam show é", "été", Some("été")),
        ] {
            assert_eq!(
                Line::bash(text, BREAKS).insert(value).as_deref(),
                inserted,
                "{text} {value}"
            );
        }
    }

    const BREAKS: &str = " \t\n\"'@><=;|&(:";
}
