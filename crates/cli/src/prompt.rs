//! Questions on the terminal.
//!
//! A question goes to standard error, the answer is one line of standard input.
//!
//! spec: command 3.8

use std::collections::BTreeSet;
use std::io::{self, BufRead, Write};

/// Asks a yes-or-no question; an empty answer is yes. `None` when there is no answer to come.
pub(crate) fn confirm(
    question: &str,
    input: &mut dyn BufRead,
    output: &mut dyn Write,
) -> io::Result<Option<bool>> {
    loop {
        write!(output, "  {question} [Y/n] ")?;
        output.flush()?;
        let Some(answer) = read(input)? else {
            return Ok(None);
        };
        match answer.to_ascii_lowercase().as_str() {
            "" | "y" | "yes" => return Ok(Some(true)),
            "n" | "no" => return Ok(Some(false)),
            _ => writeln!(output, "    Please answer y or n.")?,
        }
    }
}

/// Lets the reader pick any number of items. `None` when there is no answer to come.
pub(crate) fn choose(
    question: &str,
    items: &[String],
    input: &mut dyn BufRead,
    output: &mut dyn Write,
) -> io::Result<Option<Vec<usize>>> {
    writeln!(output, "  {question}")?;
    for (index, item) in items.iter().enumerate() {
        writeln!(output, "    {:>2}  {item}", index + 1)?;
    }
    loop {
        write!(
            output,
            "  Numbers, for example 1,3-4, or `all`; nothing for none: "
        )?;
        output.flush()?;
        let Some(answer) = read(input)? else {
            return Ok(None);
        };
        match selection(&answer, items.len()) {
            Some(chosen) => return Ok(Some(chosen)),
            None => writeln!(output, "    Please give numbers from 1 to {}.", items.len())?,
        }
    }
}

/// The indices an answer stands for.
fn selection(answer: &str, count: usize) -> Option<Vec<usize>> {
    if answer == "all" {
        return Some((0..count).collect());
    }
    let mut chosen = BTreeSet::new();
    for word in answer.split([',', ' ']).filter(|word| !word.is_empty()) {
        let (first, last) = word.split_once('-').unwrap_or((word, word));
        let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
        if first == 0 || last > count || first > last {
            return None;
        }
        chosen.extend(first - 1..last);
    }
    Some(chosen.into_iter().collect())
}

fn read(input: &mut dyn BufRead) -> io::Result<Option<String>> {
    let mut line = String::new();
    let length = input.read_line(&mut line)?;
    Ok((length > 0).then(|| line.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_answer_is_yes_and_a_strange_one_is_asked_again() {
        assert_eq!(answer("\n"), Some(true));
        assert_eq!(answer("No\n"), Some(false));
        assert_eq!(answer("perhaps\ny\n"), Some(true));
        assert_eq!(answer(""), None);
    }

    #[test]
    fn items_are_chosen_by_number_range_or_all() {
        assert_eq!(selection("all", 3), Some(vec![0, 1, 2]));
        assert_eq!(selection("", 3), Some(vec![]));
        assert_eq!(selection("3, 1-2,1", 3), Some(vec![0, 1, 2]));
        for wrong in ["0", "4", "x", "2-1", "1-", "-1"] {
            assert_eq!(selection(wrong, 3), None, "{wrong}");
        }
    }

    #[test]
    fn the_list_is_numbered() {
        let mut output = Vec::new();
        let items = ["n1".to_owned(), "n2".to_owned()];
        let chosen = choose("Which?", &items, &mut "9\n2\n".as_bytes(), &mut output).unwrap();
        assert_eq!(chosen, Some(vec![1]));
        let shown = String::from_utf8(output).unwrap();
        assert!(
            shown.starts_with("  Which?\n     1  n1\n     2  n2\n"),
            "{shown}"
        );
    }

    fn answer(input: &str) -> Option<bool> {
        confirm("Sure?", &mut input.as_bytes(), &mut Vec::new()).unwrap()
    }
}
