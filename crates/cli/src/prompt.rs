//! Questions on the terminal; they are drawn on standard error.
//!
//! spec: command 3.8

use std::fmt::{self, Display};

use inquire::ui::{Attributes, Color, RenderConfig, StyleSheet, Styled};
use inquire::{Confirm, InquireError, MultiSelect, Password, PasswordDisplayMode};
use ockam_control::{Passphrase, Repeat};

use crate::colour::Colours;

/// Asks a yes-or-no question; an empty answer is yes.
pub(crate) fn confirm(question: &str, colours: Colours) -> Result<bool, Unanswered> {
    Ok(Confirm::new(question)
        .with_default(true)
        .with_render_config(drawn(colours))
        .prompt()?)
}

/// Lets the reader pick any number of items.
pub(crate) fn choose(
    question: &str,
    items: &[String],
    colours: Colours,
) -> Result<Vec<usize>, Unanswered> {
    let chosen = MultiSelect::new(question, items.iter().collect())
        .with_help_message("arrows move, space picks, typing narrows the list, enter goes on")
        .with_formatter(&|chosen| match chosen {
            [] => "none".to_owned(),
            chosen => {
                let names: Vec<&str> = chosen.iter().map(|item| item.value.as_str()).collect();
                names.join(", ")
            }
        })
        .with_render_config(drawn(colours))
        .raw_prompt()?;
    Ok(chosen.into_iter().map(|item| item.index).collect())
}

/// Asks for a passphrase, of which nothing is shown.
pub(crate) fn passphrase(
    question: &str,
    repeat: Repeat,
    colours: Colours,
) -> Result<Passphrase, Unanswered> {
    let asked = Password::new(question)
        .with_display_mode(PasswordDisplayMode::Hidden)
        .with_render_config(drawn(colours));
    let asked = match repeat {
        Repeat::Yes => asked
            .with_custom_confirmation_message("The same once more:")
            .with_custom_confirmation_error_message("these were two different ones"),
        Repeat::No => asked.without_confirmation(),
    };
    Ok(Passphrase::new(asked.prompt()?))
}

/// Questions look like the other lines: two blanks, a sign, a blank.
fn drawn(colours: Colours) -> RenderConfig<'static> {
    let styled = |sign: &'static str, colour: Color| match colours {
        Colours::On => Styled::new(sign).with_fg(colour),
        Colours::Off => Styled::new(sign),
    };
    let mut drawn = match colours {
        Colours::On => RenderConfig::default_colored()
            .with_answer(StyleSheet::new().with_attr(Attributes::BOLD)),
        Colours::Off => RenderConfig::empty(),
    };
    drawn.prompt_prefix = styled("  ?", Color::DarkCyan);
    drawn.answered_prompt_prefix = styled("  ?", Color::DarkCyan);
    drawn.highlighted_option_prefix = styled("  >", Color::DarkCyan);
    drawn.unhighlighted_option_prefix = Styled::new("   ");
    drawn.selected_checkbox = styled("[x]", Color::DarkGreen);
    drawn.unselected_checkbox = Styled::new("[ ]");
    drawn
}

/// No answer came.
#[derive(Debug)]
pub(crate) enum Unanswered {
    /// The reader left the question.
    Left,
    /// The terminal failed.
    Terminal(InquireError),
}

impl From<InquireError> for Unanswered {
    fn from(error: InquireError) -> Self {
        match error {
            InquireError::OperationCanceled | InquireError::OperationInterrupted => Self::Left,
            error => Self::Terminal(error),
        }
    }
}

impl Display for Unanswered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Left => f.write_str("the question was left without an answer"),
            Self::Terminal(_) => f.write_str("the question could not be asked"),
        }
    }
}

impl std::error::Error for Unanswered {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Left => None,
            Self::Terminal(error) => Some(error),
        }
    }
}
