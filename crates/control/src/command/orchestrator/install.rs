//! `ockam orchestrator install`.

use std::fmt::Write as _;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use clap::Args;

use crate::command::orchestrator::start::Begin;
use crate::command::{Example, Run, Session, text};
use crate::noun::orchestrator::NOUN;
use crate::outcome::{Failure, Outcome};
use crate::table::Noun;
use crate::value::HostPort;

#[derive(Debug, Args)]
pub(in crate::command) struct Install {
    /// For the user who asks, with the home of that user; otherwise for the machine, with a home of its own
    #[arg(long)]
    user: bool,
    /// Write the unit to standard output and nothing else
    #[arg(long)]
    print: bool,
    /// Replace a unit that is there
    #[arg(long)]
    force: bool,
    /// Where it listens: HOST:PORT
    #[arg(short, long, value_name = "ADDRESS")]
    listen: Option<HostPort>,
    #[command(flatten)]
    begin: Begin,
}

impl Run for Install {
    const NOUN: &'static Noun = &NOUN;
    const VERB: &'static str = "install";

    fn examples() -> Vec<Example> {
        vec![
            Example::new(
                "For this user; it starts when the machine does",
                "ockam orchestrator install --user",
            ),
            Example::new(
                "For the machine, reached by a name",
                "ockam orchestrator install -l 0.0.0.0:6252 --public-address ockam.example.com:6252",
            ),
            Example::new("Only look at it", "ockam orchestrator install --print"),
        ]
    }

    async fn run<'a>(self, session: &'a Session<'a>) -> Result<(), Failure> {
        self.begin.settings()?;
        let place = if self.user {
            Place::User(session.host.home())
        } else {
            Place::Machine
        };
        let program = std::env::current_exe()
            .map_err(|error| Failure::internal("this program has no path", &error))?;
        let mut words = self.begin.words();
        if let Some(listen) = &self.listen {
            words.insert(0, format!("--listen={listen}"));
        }
        let unit = unit(&place, &program, &words)?;
        if self.print {
            session.host.print(Outcome::plain(unit));
            return Ok(());
        }
        let directory = match &place {
            Place::Machine => PathBuf::from(MACHINE_UNITS),
            Place::User(_) => user_units(session)?,
        };
        let path = directory.join(UNIT);
        self.write(&directory, &path, &unit)?;
        session.host.print(Outcome::plain(next(&place, &path)));
        Ok(())
    }
}

impl Install {
    fn write(&self, directory: &Path, path: &Path, unit: &str) -> Result<(), Failure> {
        let cannot = |error: std::io::Error| {
            let failure =
                Failure::internal(format!("{} cannot be written", path.display()), &error);
            match error.kind() {
                std::io::ErrorKind::AlreadyExists => {
                    failure.help("--force replaces it, --print shows what would be written")
                }
                std::io::ErrorKind::PermissionDenied if !self.user => {
                    failure.help("run it as root, or with --user for a service of this user only")
                }
                _ => failure,
            }
        };
        std::fs::create_dir_all(directory).map_err(cannot)?;
        let mut how = std::fs::OpenOptions::new();
        how.write(true).mode(0o644);
        if self.force {
            how.create(true).truncate(true);
        } else {
            how.create_new(true);
        }
        how.open(path)
            .and_then(|mut file| file.write_all(unit.as_bytes()))
            .map_err(cannot)
    }
}

/// For whom systemd runs it.
#[derive(Debug)]
enum Place {
    /// For the machine, as a user that systemd makes for it.
    Machine,
    /// For a user, in the home there.
    User(PathBuf),
}

/// Where units of this user are.
fn user_units(session: &Session<'_>) -> Result<PathBuf, Failure> {
    let set = |name: &str| {
        session
            .host
            .variable(name)
            .filter(|value| !value.is_empty())
    };
    let configuration = match (set("XDG_CONFIG_HOME"), set("HOME")) {
        (Some(directory), _) => PathBuf::from(directory),
        (None, Some(home)) => Path::new(&home).join(".config"),
        (None, None) => {
            return Err(Failure::new("nothing says where units of this user are")
                .help("set HOME, or use --print and put the unit there yourself"));
        }
    };
    Ok(configuration.join("systemd/user"))
}

/// What comes next, for whoever reads it.
fn next(place: &Place, path: &Path) -> String {
    let (systemctl, home, more) = match place {
        Place::Machine => ("sudo systemctl", "sudo OCKAM_HOME=/var/lib/ockam ", None),
        Place::User(_) => (
            "systemctl --user",
            "",
            Some(
                "sudo loginctl enable-linger $USER     # it runs also while you are not logged in",
            ),
        ),
    };
    let mut lines = vec![
        text::done(format!("Wrote {}", path.display())),
        text::info("Next:"),
        text::more(format!("{systemctl} daemon-reload")),
        text::more(format!("{systemctl} enable --now {UNIT}")),
    ];
    lines.extend(more.map(text::more));
    lines.push(text::more(format!(
        "{home}ockam orchestrator status     # how to join it, and where the code of its first administrator is"
    )));
    lines.join("\n")
}

/// The unit.
fn unit(place: &Place, program: &Path, words: &[String]) -> Result<String, Failure> {
    let mut command = quoted(&program.display().to_string())?;
    for word in ["orchestrator", "start", "--foreground"]
        .into_iter()
        .chain(words.iter().map(String::as_str))
    {
        command.push(' ');
        command.push_str(&quoted(word)?);
    }
    let home = match place {
        Place::Machine => "OCKAM_HOME=%S/ockam".to_owned(),
        Place::User(home) => quoted(&format!("OCKAM_HOME={}", home.display()))?,
    };
    let mut unit = format!(
        "# Written by `ockam orchestrator install`.\n\
         [Unit]\n\
         Description=Ockam Orchestrator\n\
         Wants=network-online.target\n\
         After=network-online.target\n\
         \n\
         [Service]\n\
         Type=notify\n\
         ExecStart={command}\n\
         Environment={home}\n\
         Restart=on-failure\n\
         RestartSec=1\n\
         LimitNOFILE=65536\n\
         UMask=0077\n"
    );
    let (sandbox, wanted_by) = match place {
        Place::Machine => (MACHINE_SANDBOX, "multi-user.target"),
        Place::User(_) => ("", "default.target"),
    };
    for line in SANDBOX.lines().chain(sandbox.lines()) {
        // Writing to a text cannot fail.
        let _ = writeln!(unit, "{line}");
    }
    let _ = write!(unit, "\n[Install]\nWantedBy={wanted_by}\n");
    Ok(unit)
}

/// A word of a command line as systemd reads it.
fn quoted(word: &str) -> Result<String, Failure> {
    if word.chars().any(char::is_control) {
        return Err(Failure::new(format!(
            "{word:?} cannot be part of a unit: it has a control character"
        )));
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@+[]".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return Ok(word.to_owned());
    }
    let mut quoted = String::from("\"");
    for c in word.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            // Both mean something to systemd.
            '%' | '$' => quoted.extend([c, c]),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    Ok(quoted)
}

const UNIT: &str = "ockam-orchestrator.service";
const MACHINE_UNITS: &str = "/etc/systemd/system";

/// What it may do, also as a service of a user.
const SANDBOX: &str = "\
NoNewPrivileges=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
SystemCallArchitectures=native
SystemCallFilter=@system-service";

/// What only the machine can take from a service.
const MACHINE_SANDBOX: &str = "\
DynamicUser=yes
StateDirectory=ockam
StateDirectoryMode=0700
CapabilityBoundingSet=
ProtectSystem=strict
ProtectHome=yes
ProtectClock=yes
ProtectHostname=yes
ProtectControlGroups=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
PrivateDevices=yes
PrivateTmp=yes
RemoveIPC=yes
RestrictNamespaces=yes";

#[cfg(test)]
mod tests {
    use super::*;

    fn of(place: &Place) -> String {
        let words = [
            "--listen=0.0.0.0:6252".to_owned(),
            "--admit=domain:a b".to_owned(),
        ];
        unit(place, Path::new("/usr/bin/ockam"), &words).expect("it is written")
    }

    #[test]
    fn the_unit_of_the_machine_is_shut_in_and_has_a_home_of_its_own() {
        let unit = of(&Place::Machine);
        for line in [
            "ExecStart=/usr/bin/ockam orchestrator start --foreground --listen=0.0.0.0:6252 \"--admit=domain:a b\"",
            "Environment=OCKAM_HOME=%S/ockam",
            "NoNewPrivileges=yes",
            "ProtectSystem=strict",
            "StateDirectory=ockam",
            "DynamicUser=yes",
            "WantedBy=multi-user.target",
        ] {
            assert!(unit.lines().any(|found| found == line), "{line}\n{unit}");
        }
    }

    #[test]
    fn the_unit_of_a_user_has_the_home_of_that_user() {
        let unit = of(&Place::User("/srv/a b/100%".into()));
        assert!(
            unit.contains("Environment=\"OCKAM_HOME=/srv/a b/100%%\"\n"),
            "{unit}"
        );
        assert!(unit.contains("WantedBy=default.target"));
        assert!(!unit.contains("DynamicUser"));
    }

    #[test]
    fn no_word_begins_a_line_of_its_own() {
        assert!(quoted("a\nExecStartPre=/bin/sh").is_err());
        assert_eq!(quoted("$HOME\"").expect("a word"), "\"$$HOME\\\"\"");
        assert_eq!(quoted("").expect("a word"), "\"\"");
    }
}
