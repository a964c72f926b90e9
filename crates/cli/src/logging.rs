//! Where log lines go: the console with `-v`, daily files for background nodes and with `OCKAM_LOGGING`, else nowhere.
//!
//! **Invariants**
//! - Log folders have mode 0700 and files 0600. Arguments of a command are never logged: a ticket is one of them.
//!
//! spec: command 3.1 (step 5, `-v`), 3.5, 3.6 (logs)

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::writer::BoxMakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer as _, fmt as format};

use crate::colour::Colours;
use crate::environment::{
    Environment, OCKAM_LOG_CRATES_FILTER, OCKAM_LOG_FORMAT, OCKAM_LOG_LEVEL, OCKAM_LOG_MAX_FILES,
    OCKAM_LOGGING,
};

/// Where log lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Sink {
    /// Nowhere.
    Off,
    /// Standard output, as the published program does.
    Console,
    /// Daily files in this folder.
    Folder(PathBuf),
}

impl Sink {
    /// Decides for a command. A background node (`node` is its name) always logs to files, below its own folder.
    pub(crate) fn of(
        node: Option<&str>,
        command: &str,
        verbosity: u8,
        environment: &Environment,
    ) -> Self {
        let home = environment.home();
        match node {
            // A name that is not one word cannot be a node; nothing is written outside of `nodes/`.
            Some(name) if is_word(name) => Self::Folder(home.join("nodes").join(name)),
            Some(_) => Self::Off,
            None if verbosity > 0 => Self::Console,
            None if environment.flag(OCKAM_LOGGING) => {
                Self::Folder(home.join("commands").join(command))
            }
            None => Self::Off,
        }
    }
}

/// Starts logging. Returns the file of the day, when there is one.
pub(crate) fn start(
    sink: &Sink,
    verbosity: u8,
    colours: Colours,
    environment: &Environment,
) -> io::Result<Option<PathBuf>> {
    let (writer, ansi, file) = match sink {
        Sink::Off => return Ok(None),
        Sink::Console => (BoxMakeWriter::new(io::stdout), colours == Colours::On, None),
        Sink::Folder(folder) => {
            let keep = environment
                .get(OCKAM_LOG_MAX_FILES)
                .and_then(|text| text.parse().ok())
                .unwrap_or(KEPT_FILES);
            let files = DailyFiles::open(folder.clone(), keep)?;
            let path = files.path();
            (BoxMakeWriter::new(files), false, Some(path))
        }
    };
    let layer = format::layer().with_writer(writer).with_ansi(ansi);
    let layer = match environment.get(OCKAM_LOG_FORMAT).as_deref() {
        Some("json") => layer.json().boxed(),
        Some("pretty") => layer.pretty().boxed(),
        Some("user") => layer
            .without_time()
            .with_target(false)
            .with_level(false)
            .boxed(),
        _ => layer.boxed(),
    };
    let filter = filter(sink, verbosity, environment);
    // A second subscriber in one process would be a defect of ours, not a reason to fail a command.
    let _ = tracing_subscriber::registry()
        .with(layer.with_filter(filter))
        .try_init();
    Ok(file)
}

/// Level and crates: `-v` decides on the console and in background nodes, the variables win where they are set.
fn filter(sink: &Sink, verbosity: u8, environment: &Environment) -> Targets {
    let by_verbosity = match verbosity {
        0 => LevelFilter::DEBUG,
        1 | 2 => LevelFilter::INFO,
        3 => LevelFilter::DEBUG,
        _ => LevelFilter::TRACE,
    };
    let level = match environment.get(OCKAM_LOG_LEVEL) {
        Some(text) if matches!(sink, Sink::Folder(_)) => {
            text.trim().parse().unwrap_or(by_verbosity)
        }
        _ => by_verbosity,
    };
    let crates = environment.get(OCKAM_LOG_CRATES_FILTER).unwrap_or_default();
    let own = || {
        Targets::new()
            .with_target("ockam::", level)
            .with_target("ockam_control", level)
    };
    match crates.trim() {
        "all" => Targets::new().with_default(level),
        "basic" => own(),
        // Every crate of this program has a name that starts so.
        "core" => Targets::new().with_target("ockam", level),
        "" => match verbosity {
            1 => own(),
            0 | 2..=4 => Targets::new().with_target("ockam", level),
            _ => Targets::new().with_default(level),
        },
        list => list
            .split(',')
            .map(str::trim)
            .filter(|name| !name.is_empty())
            .fold(Targets::new(), |targets, name| {
                targets.with_target(name.replace('-', "_"), level)
            }),
    }
}

/// One file per day, `stdout.<YYYY-MM-DD>.log`, of which the newest are kept.
#[derive(Clone, Debug)]
struct DailyFiles(Arc<DailyFilesInner>);

#[derive(Debug)]
struct DailyFilesInner {
    folder: PathBuf,
    keep: usize,
    // Orders lines and the change of day; held for one write.
    today: Mutex<(u64, File)>,
}

impl DailyFiles {
    fn open(folder: PathBuf, keep: usize) -> io::Result<Self> {
        use std::os::unix::fs::DirBuilderExt as _;
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&folder)?;
        let day = today();
        let file = create(&folder, day, keep)?;
        Ok(Self(Arc::new(DailyFilesInner {
            folder,
            keep,
            today: Mutex::new((day, file)),
        })))
    }

    fn path(&self) -> PathBuf {
        let today = self.0.today.lock().unwrap_or_else(PoisonError::into_inner);
        self.0.folder.join(file_name(today.0))
    }
}

impl Write for DailyFiles {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut today_file = self.0.today.lock().unwrap_or_else(PoisonError::into_inner);
        let day = today();
        if today_file.0 != day
            && let Ok(file) = create(&self.0.folder, day, self.0.keep)
        {
            *today_file = (day, file);
        }
        today_file.1.write_all(line)?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for DailyFiles {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

fn create(folder: &Path, day: u64, keep: usize) -> io::Result<File> {
    let file = open_private(&folder.join(file_name(day)))?;
    let mut logs: Vec<PathBuf> = fs::read_dir(folder)?
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| {
            path.file_name()
                .and_then(|name| name.to_str())
                .is_some_and(is_log)
        })
        .collect();
    // Names sort by date.
    logs.sort();
    let surplus = logs.len().saturating_sub(keep.max(1));
    for path in logs.into_iter().take(surplus) {
        // A file that cannot be removed is one log too many, not a reason to stop logging.
        let _ = fs::remove_file(path);
    }
    Ok(file)
}

/// Opens a file for appending that only its owner can read.
pub(crate) fn open_private(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    fs::OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)
}

fn is_word(name: &str) -> bool {
    !name.is_empty()
        && name
            .chars()
            .all(|character| character.is_alphanumeric() || matches!(character, '-' | '_'))
}

fn is_log(name: &str) -> bool {
    name.starts_with("stdout.") && name.ends_with(".log")
}

fn file_name(day: u64) -> String {
    let (year, month, day) = date(day);
    format!("stdout.{year:04}-{month:02}-{day:02}.log")
}

/// Days since the epoch, in UTC.
fn today() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs() / 86_400)
}

/// Year, month and day of a day since the epoch, after Hinnant's `civil_from_days`: years begin in March there, so that
/// the leap day is the last one.
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let era = days / 146_097;
    let of_era = days % 146_097;
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

/// Files that are kept unless `OCKAM_LOG_MAX_FILES` says otherwise.
const KEPT_FILES: usize = 60;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn days_become_dates() {
        assert_eq!(date(0), (1970, 1, 1));
        assert_eq!(date(11_016), (2000, 2, 29));
        assert_eq!(date(11_017), (2000, 3, 1));
        assert_eq!(date(20_453), (2025, 12, 31));
        assert_eq!(file_name(20_454), "stdout.2026-01-01.log");
    }

    #[test]
    fn a_background_node_logs_below_its_own_folder_whatever_its_name() {
        let environment = Environment::only(&[("OCKAM_HOME", "/o")]);
        assert_eq!(
            Sink::of(Some("n1"), "node create", 2, &environment),
            Sink::Folder("/o/nodes/n1".into())
        );
        assert_eq!(
            Sink::of(Some("../n1"), "node create", 2, &environment),
            Sink::Off
        );
        assert_eq!(
            Sink::of(None, "node create", 1, &environment),
            Sink::Console
        );
        assert_eq!(Sink::of(None, "node list", 0, &environment), Sink::Off);
        let environment = Environment::only(&[("OCKAM_HOME", "/o"), (OCKAM_LOGGING, "true")]);
        assert_eq!(
            Sink::of(None, "node list", 0, &environment),
            Sink::Folder("/o/commands/node list".into())
        );
    }

    #[test]
    fn files_are_private_and_only_the_newest_are_kept() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("nodes/n1");
        for day in [20_450, 20_451, 20_452] {
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join(file_name(day)), "old").unwrap();
        }
        fs::write(folder.join("other.log"), "kept").unwrap();
        let mut files = DailyFiles::open(folder.clone(), 2).unwrap();
        files.write_all(b"line\n").unwrap();
        let path = files.path();
        assert_eq!(fs::read_to_string(&path).unwrap(), "line\n");
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        let mut left: Vec<_> = fs::read_dir(&folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort();
        assert_eq!(left.len(), 3, "{left:?}");
        assert!(left.contains(&file_name(20_452)) && left.contains(&"other.log".to_owned()));
    }

    #[test]
    fn levels_follow_verbosity_and_the_variables() {
        let none = Environment::only(&[]);
        let enabled = |filter: &Targets, target: &str, level| filter.would_enable(target, &level);
        let one = filter(&Sink::Console, 1, &none);
        assert!(enabled(&one, "ockam::background", tracing::Level::INFO));
        assert!(!enabled(&one, "ockam_node::router", tracing::Level::INFO));
        let two = filter(&Sink::Console, 2, &none);
        assert!(enabled(&two, "ockam_node::router", tracing::Level::INFO));
        assert!(!enabled(&two, "ockam_node::router", tracing::Level::DEBUG));
        let five = filter(&Sink::Console, 5, &none);
        assert!(enabled(&five, "hyper", tracing::Level::TRACE));
        let variables = Environment::only(&[
            (OCKAM_LOG_LEVEL, "warn"),
            (OCKAM_LOG_CRATES_FILTER, "ockam-portal"),
        ]);
        let listed = filter(&Sink::Folder("/o".into()), 2, &variables);
        assert!(enabled(
            &listed,
            "ockam_portal::inlet",
            tracing::Level::WARN
        ));
        assert!(!enabled(
            &listed,
            "ockam_portal::inlet",
            tracing::Level::INFO
        ));
        assert!(!enabled(&listed, "ockam_node", tracing::Level::WARN));
    }
}
