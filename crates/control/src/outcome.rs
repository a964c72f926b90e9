//! What an operation gives back: an [`Outcome`] for each result, or one [`Failure`].

use serde::{Deserialize, Serialize};

/// One result of a command in up to three forms; the printer chooses (spec: command 3.2).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// For people. Lines carry their own indentation and icons.
    pub plain: String,
    /// One identifier-like string, the first choice when stdout is not a terminal.
    pub machine: Option<String>,
    /// The JSON form; keys are sorted by the printer.
    pub json: Option<serde_json::Value>,
}

impl Outcome {
    /// A result for people only.
    pub fn plain(text: impl Into<String>) -> Self {
        Self {
            plain: text.into(),
            machine: None,
            json: None,
        }
    }

    /// Adds the machine form.
    #[must_use]
    pub fn machine(mut self, text: impl Into<String>) -> Self {
        self.machine = Some(text.into());
        self
    }

    /// Adds a JSON form that is printed only when it is asked for. The published program has none for such a result, so that
    /// scripts read the plain text through a pipe.
    #[must_use]
    pub fn json_when_asked(self, value: serde_json::Value) -> Self {
        let plain = self.plain.clone();
        self.machine(plain).json(value)
    }

    /// Adds the JSON form.
    #[must_use]
    pub fn json(mut self, value: serde_json::Value) -> Self {
        self.json = Some(value);
        self
    }
}

/// Why an operation failed, as it is shown to a person and sent over the control socket.
///
/// The process exits with 70 for every failure, unless [`Failure::exit`] says otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// What went wrong. Scripts rely on some of these texts (spec: command 3.3).
    pub message: String,
    /// The published error code, when there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<Code>,
    /// What the reader can do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    /// Causes, outermost first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<String>,
    /// The process ends with this code and prints nothing more: a child process has said why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit: Option<u8>,
}

impl Failure {
    /// A failure without a code, as argument checks have it.
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            code: None,
            help: None,
            causes: Vec::new(),
            exit: None,
        }
    }

    /// A failure with a code.
    pub fn coded(code: Code, message: impl Into<String>) -> Self {
        Self {
            code: Some(code),
            ..Self::new(message)
        }
    }

    /// A failure of ours or of the machine, code `OCK500`, with the error and its sources as causes.
    pub fn internal(message: impl Into<String>, error: &(dyn std::error::Error + 'static)) -> Self {
        Self::coded(Code::Internal, message).caused_by(error)
    }

    /// An option or argument of the published program that this one does not offer yet.
    pub fn unsupported(what: impl std::fmt::Display) -> Self {
        Self::new(format!("{what} is not supported yet")).help("leave it out; nothing was changed")
    }

    /// Adds a line that tells the reader what to do.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The same where it helps.
    #[must_use]
    pub fn help_if(self, when: bool, help: impl Into<String>) -> Self {
        if when { self.help(help) } else { self }
    }

    /// Adds a cause.
    #[must_use]
    pub fn cause(mut self, cause: impl Into<String>) -> Self {
        self.causes.push(cause.into());
        self
    }

    /// Adds an error and its sources as causes.
    #[must_use]
    pub fn caused_by(mut self, error: &(dyn std::error::Error + 'static)) -> Self {
        let mut next = Some(error);
        while let Some(error) = next {
            let text = error.to_string();
            // Errors made of one another often repeat their source's text.
            if self.causes.last() != Some(&text) {
                self.causes.push(text);
            }
            next = error.source();
        }
        self
    }
}

/// The published error codes (spec: command 3.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Code {
    /// Not enrolled or not authorised.
    #[serde(rename = "OCK401")]
    Unauthorized,
    /// A named node was not found.
    #[serde(rename = "OCK404")]
    NotFound,
    /// Exists already.
    #[serde(rename = "OCK409")]
    AlreadyExists,
    /// Everything else that has a code.
    #[serde(rename = "OCK500")]
    Internal,
    /// Not available now.
    #[serde(rename = "OCK503")]
    Unavailable,
}

impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Unauthorized => "OCK401",
            Self::NotFound => "OCK404",
            Self::AlreadyExists => "OCK409",
            Self::Internal => "OCK500",
            Self::Unavailable => "OCK503",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failure_survives_the_socket() {
        let failure = Failure::coded(Code::NotFound, "not found")
            .cause("because")
            .help("try");
        let text = serde_json::to_string(&failure).expect("a failure is plain data");
        assert!(text.contains("OCK404"));
        assert_eq!(
            serde_json::from_str::<Failure>(&text).expect("it reads back"),
            failure
        );
    }

    #[test]
    fn repeated_source_texts_are_shown_once() {
        #[derive(Debug, thiserror::Error)]
        #[error("{0}")]
        struct Same(#[source] std::io::Error);
        let error = Same(std::io::Error::other("disk"));
        assert_eq!(Failure::internal("no", &error).causes, ["disk"]);
    }
}
