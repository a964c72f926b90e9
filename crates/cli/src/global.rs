//! Options that every command takes, before or after its own words.
//!
//! spec: command 3.1 (global options)

use clap::{ArgMatches, Args, FromArgMatches};

use crate::colour::Colours;
use crate::environment::{Environment, NO_INPUT, QUIET};
use crate::filter::{Filter, FilterError};
use crate::json::Layout;
use crate::printer::{Destination, Format, Printer};

/// The options as they are written.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct GlobalArguments {
    /// Write nothing but results, and ask nothing
    #[arg(short, long, global = true, help_heading = HEADING, display_order = 900)]
    quiet: bool,

    /// Log to the console: -v and -vv information, -vvv debugging, -vvvv everything
    #[arg(short, long, global = true, action = clap::ArgAction::Count, help_heading = HEADING, display_order = 901)]
    verbose: u8,

    /// Write no colours
    #[arg(long, global = true, help_heading = HEADING, display_order = 902)]
    no_color: bool,

    /// Ask nothing
    #[arg(long, global = true, help_heading = HEADING, display_order = 903)]
    no_input: bool,

    /// Form of the results (default: plain)
    #[arg(long, global = true, value_enum, value_name = "FORMAT", help_heading = HEADING, display_order = 904)]
    output: Option<Format>,

    /// Filter the JSON form of the results with a jq query
    #[arg(long, global = true, value_name = "QUERY", help_heading = HEADING, display_order = 905)]
    jq: Option<String>,

    /// Write JSON on one line
    #[arg(long, global = true, help_heading = HEADING, display_order = 906)]
    compact_output: bool,

    /// No longer used: JSON is pretty unless --compact-output is given
    #[arg(long, global = true, hide = true, help_heading = HEADING)]
    pretty: bool,

    /// Parse the arguments, run nothing
    #[arg(long, global = true, hide = true, help_heading = HEADING)]
    test_argument_parser: bool,
}

/// Heading of these options in help texts.
const HEADING: &str = "Global options";

/// What the options and the environment say together.
#[derive(Clone, Debug)]
pub(crate) struct Globals {
    arguments: GlobalArguments,
    /// Nothing but results is written, nothing is asked.
    pub quiet: Quiet,
    /// Prompts are possible as far as options go.
    pub prompts: Prompts,
}

/// Whether standard error is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Quiet {
    /// Nothing is written.
    Yes,
    /// Everything is written.
    No,
}

/// Whether questions are allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Prompts {
    /// Where there is a terminal.
    Allowed,
    /// Never.
    Forbidden,
}

impl Globals {
    /// Reads the options of a parsed command line.
    pub(crate) fn of(matches: &ArgMatches, environment: &Environment) -> Result<Self, clap::Error> {
        let arguments = GlobalArguments::from_arg_matches(matches)?;
        let quiet = arguments.quiet || environment.flag(QUIET);
        let silent = quiet || arguments.no_input || environment.flag(NO_INPUT);
        Ok(Self {
            arguments,
            quiet: if quiet { Quiet::Yes } else { Quiet::No },
            prompts: if silent {
                Prompts::Forbidden
            } else {
                Prompts::Allowed
            },
        })
    }

    /// The printer that was asked for.
    pub(crate) fn printer(
        &self,
        destination: Destination,
        environment: &Environment,
    ) -> Result<Printer, FilterError> {
        let arguments = &self.arguments;
        let implied = if arguments.jq.is_some() || arguments.compact_output {
            Format::Json
        } else {
            Format::Plain
        };
        Ok(Printer {
            format: arguments.output.unwrap_or(implied),
            destination,
            filter: arguments.jq.as_deref().map(Filter::parse).transpose()?,
            layout: if arguments.compact_output {
                Layout::Compact
            } else {
                Layout::Pretty
            },
            colours: self.colours(destination == Destination::Terminal, environment),
        })
    }

    /// Colours of a stream.
    pub(crate) fn colours(&self, terminal: bool, environment: &Environment) -> Colours {
        Colours::of(terminal, self.arguments.no_color, environment)
    }

    /// How often `-v` was given.
    pub(crate) fn verbosity(&self) -> u8 {
        self.arguments.verbose
    }

    /// Whether only the arguments are to be checked.
    pub(crate) fn parse_only(&self) -> bool {
        self.arguments.test_argument_parser
    }

    /// Whether the option without effect was given.
    pub(crate) fn pretty(&self) -> bool {
        self.arguments.pretty
    }

    /// The words that make a background node print its result in the same way.
    pub(crate) fn for_child(&self) -> Vec<String> {
        let arguments = &self.arguments;
        // The child logs to its file; `-vv` is the least, as in the published program.
        let mut words = vec![format!(
            "-{}",
            "v".repeat(usize::from(arguments.verbose.max(2)))
        )];
        if let Some(format) = arguments.output {
            words.push("--output".to_owned());
            words.push(match format {
                Format::Plain => "plain".to_owned(),
                Format::Json => "json".to_owned(),
            });
        }
        if let Some(query) = &arguments.jq {
            words.push(format!("--jq={query}"));
        }
        for (given, word) in [
            (arguments.compact_output, "--compact-output"),
            (arguments.no_color, "--no-color"),
            (self.prompts == Prompts::Forbidden, "--no-input"),
        ] {
            if given {
                words.push(word.to_owned());
            }
        }
        words
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_or_compact_output_implies_json_unless_plain_is_asked_for() {
        let format = |words: &[&str]| {
            globals(words, &[])
                .printer(Destination::Pipe, &Environment::only(&[]))
                .unwrap()
                .format
        };
        assert_eq!(format(&[]), Format::Plain);
        assert_eq!(format(&["--jq", ".a"]), Format::Json);
        assert_eq!(format(&["--compact-output"]), Format::Json);
        assert_eq!(format(&["--output", "plain", "--jq", ".a"]), Format::Plain);
    }

    #[test]
    fn a_query_that_does_not_parse_is_found_before_the_command_runs() {
        assert!(
            globals(&["--jq", ".["], &[])
                .printer(Destination::Pipe, &Environment::only(&[]))
                .is_err()
        );
    }

    #[test]
    fn quiet_forbids_prompts_and_comes_from_the_environment_too() {
        assert_eq!(globals(&["-q"], &[]).prompts, Prompts::Forbidden);
        assert_eq!(globals(&[], &[(QUIET, "1")]).quiet, Quiet::Yes);
        assert_eq!(
            globals(&[], &[(NO_INPUT, "true")]).prompts,
            Prompts::Forbidden
        );
        assert_eq!(globals(&[], &[(QUIET, "false")]).prompts, Prompts::Allowed);
    }

    #[test]
    fn a_child_is_told_how_to_print() {
        assert_eq!(globals(&[], &[]).for_child(), ["-vv"]);
        assert_eq!(
            globals(
                &["-vvv", "--output", "json", "--jq", "-1", "--no-input"],
                &[]
            )
            .for_child(),
            ["-vvv", "--output", "json", "--jq=-1", "--no-input"]
        );
    }

    fn globals(words: &[&str], variables: &[(&str, &str)]) -> Globals {
        let command =
            GlobalArguments::augment_args(clap::Command::new("ockam").no_binary_name(true))
                .mut_arg("jq", |argument| argument.allow_hyphen_values(true));
        let matches = command.try_get_matches_from(words).unwrap();
        Globals::of(&matches, &Environment::only(variables)).unwrap()
    }
}
