//! Replaces what differs from run to run by words in angle brackets.

use std::path::Path;

/// The text without identifiers, addresses, ports, process numbers, versions and the place of the home.
pub(crate) fn stable(text: &str, home: &Path) -> String {
    let text = text.replace(&home.display().to_string(), "<tmp>");
    let text = ["\n", ""].iter().fold(text, |text, between| {
        text.replace(&about(between), "<about this program>\n")
    });
    let text = VERSIONS.iter().fold(text, |text, before| {
        text.replace(
            &format!("{before}{}", env!("CARGO_PKG_VERSION")),
            &format!("{before}<version>"),
        )
    });
    let text = hexadecimal(&moments(&ids(&text)));
    let text = NUMBERS
        .iter()
        .fold(text, |text, (before, word)| after(&text, before, word));
    let text = NAMES.iter().fold(text, |text, before| named(&text, before));
    let text = text
        .split_inclusive('\n')
        .map(|line| {
            LISTS
                .iter()
                .fold(line.to_owned(), |line, before| all_named(&line, before))
        })
        .collect::<String>();
    text.replace('\x1b', "␛")
}

/// The end of an error report, with this between its two parts.
fn about(between: &str) -> String {
    format!(
        "{VERSION}{between}    See `ockam help` for every command and its arguments.\n    \
         To report a defect, please include the lines above.\n"
    )
}

const VERSION: &str = concat!(
    "    ockam ",
    env!("CARGO_PKG_VERSION"),
    "\n    compiled from N/A\n"
);

/// What stands before the version.
const VERSIONS: &[&str] = &["ockam ", "Ockam version: ", "\"version\": \""];

/// What a number stands for, by the text before it.
const NUMBERS: &[(&str, &str)] = &[
    ("127.0.0.1:", "<port>"),
    ("0.0.0.0:", "<port>"),
    ("/tcp/", "<port>"),
    ("localhost:", "<port>"),
    ("\"pid\": ", "<pid>"),
    ("\"pid\":", "<pid>"),
    ("PID ", "<pid>"),
    ("listening on port ", "<port>"),
    ("stdout.", "<date>"),
    ("\"created_at\": ", "<time>"),
    ("\"expires_at\": ", "<time>"),
    ("expired at ", "<time>"),
    ("\"added_at\": ", "<time>"),
    ("\"first\": ", "<time>"),
    ("\"last\": ", "<time>"),
    ("the last time ", "<n>"),
];

/// What stands before a name that may be a random one.
const NAMES: &[&str] = &[
    "named ",
    "with name ",
    "node start ",
    "on Node ",
    "identity is '",
    "Identity: ",
    "Identity ",
    "\"identity_name\": \"",
    "\"identity_name\":\"",
];

/// What stands before a list of names.
const LISTS: &[&str] = &["there are these ", "name one of: "];

/// Replaces the random ones among the names at the end of a line.
fn all_named(line: &str, before: &str) -> String {
    if line.contains(before) {
        named(&named(line, ": "), ", ")
    } else {
        line.to_owned()
    }
}

/// Replaces two lower-case words joined by a hyphen: the form of random names. Transcripts choose others.
fn named(text: &str, before: &str) -> String {
    let mut replaced = String::new();
    let mut parts = text.split(before);
    replaced.push_str(parts.next().unwrap_or_default());
    for part in parts {
        let length = part
            .find(|c: char| !c.is_ascii_lowercase() && c != '-')
            .unwrap_or(part.len());
        let (name, rest) = part.split_at(length);
        let random = name
            .split_once('-')
            .is_some_and(|(first, last)| !first.is_empty() && !last.is_empty());
        replaced.push_str(before);
        replaced.push_str(if random { "<random name>" } else { name });
        replaced.push_str(rest);
    }
    replaced
}

/// Replaces the digits and hyphens after a text, except for ports that a transcript chose itself (below 10000).
fn after(text: &str, before: &str, word: &str) -> String {
    let mut replaced = String::new();
    let mut parts = text.split(before);
    replaced.push_str(parts.next().unwrap_or_default());
    for part in parts {
        let length = part
            .find(|c: char| !c.is_ascii_digit() && (c != '-' || word != "<date>"))
            .unwrap_or(part.len());
        let (number, rest) = part.split_at(length);
        replaced.push_str(before);
        let chosen = word == "<port>" && number.len() < 5;
        replaced.push_str(if number.is_empty() || chosen {
            number
        } else {
            word
        });
        replaced.push_str(rest);
    }
    replaced
}

/// Replaces what an Orchestrator names its spaces, projects and invitations by.
fn ids(text: &str) -> String {
    let is_id = |part: &str| {
        part.char_indices().all(|(place, c)| match place {
            8 | 13 | 18 | 23 => c == '-',
            _ => c.is_ascii_hexdigit(),
        })
    };
    all_like(text, ID, is_id, "<id>")
}

/// Replaces the times of clocks.
fn moments(text: &str) -> String {
    let is_moment = |part: &str| {
        // Midnight was chosen by a person.
        !part.ends_with("T00:00:00Z")
            && part.char_indices().all(|(place, c)| match place {
                4 | 7 => c == '-',
                10 => c == 'T',
                13 | 16 => c == ':',
                19 => c == 'Z',
                _ => c.is_ascii_digit(),
            })
    };
    all_like(text, MOMENT, is_moment, "<moment>")
}

/// Replaces every part of this length that is like this.
fn all_like(text: &str, length: usize, like: impl Fn(&str) -> bool, word: &str) -> String {
    let mut replaced = String::new();
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        match rest.get(..length).filter(|part| like(part)) {
            Some(part) => {
                replaced.push_str(word);
                rest = &rest[part.len()..];
            }
            None => {
                replaced.push(next);
                rest = &rest[next.len_utf8()..];
            }
        }
    }
    replaced
}

/// `01234567-89ab-cdef-0123-456789abcdef`
const ID: usize = 36;
/// `2026-01-02T03:04:05Z`
const MOMENT: usize = 20;

/// Replaces long runs of hexadecimal digits by what they are.
fn hexadecimal(text: &str) -> String {
    let mut replaced = String::new();
    let mut rest = text;
    while let Some(start) = rest.find(|c: char| c.is_ascii_hexdigit()) {
        let (before, run) = rest.split_at(start);
        let length = run
            .find(|c: char| !c.is_ascii_hexdigit())
            .unwrap_or(run.len());
        let (run, after) = run.split_at(length);
        match (length, before.strip_suffix('I')) {
            (8, Some(before)) if after.starts_with('…') => {
                replaced.push_str(&format!("{before}I<start>"));
            }
            (64, Some(before)) => replaced.push_str(&format!("{before}I<identifier>")),
            (64, None) => replaced.push_str(&format!("{before}<64 hex>")),
            (32, _) => replaced.push_str(&format!("{before}<address>")),
            (65.., _) => replaced.push_str(&format!("{before}<hex>")),
            _ => {
                replaced.push_str(before);
                replaced.push_str(run);
            }
        }
        rest = after;
    }
    replaced.push_str(rest);
    replaced
}

#[test]
fn what_differs_is_replaced_and_nothing_else() {
    let home = Path::new("/tmp/h");
    let identifier = "ab".repeat(32);
    let address = "01".repeat(16);
    assert_eq!(
        stable(
            &format!("I{identifier} /service/{address} at 127.0.0.1:45123, PID 12, 127.0.0.1:5000"),
            home
        ),
        "I<identifier> /service/<address> at 127.0.0.1:<port>, PID <pid>, 127.0.0.1:5000"
    );
    assert_eq!(
        stable("/tmp/h/nodes/n1/stdout.2026-01-02.log", home),
        "<tmp>/nodes/n1/stdout.<date>.log"
    );
    assert_eq!(stable("added face 12", home), "added face 12");
    assert_eq!(
        stable(
            "id 01234567-89ab-4def-8123-456789abcdef at 2026-01-02T03:04:05Z, 2099-01-31T00:00:00Z",
            home
        ),
        "id <id> at <moment>, 2099-01-31T00:00:00Z"
    );
    assert_eq!(
        stable("named bold-willow, named n1", home),
        "named <random name>, named n1"
    );
}
