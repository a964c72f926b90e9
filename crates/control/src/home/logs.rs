//! The log of a node, read as one text although it is a file for each day.
//!
//! # Invariants
//! - Whatever the node writes is read once, also over midnight, when it goes on in a new file, and when a node of the same
//!   name takes its place.
//! - No more than one part of a file is held in memory.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use ockam_store::NodeName;

use crate::home::nodes;
use crate::outcome::Failure;
use crate::state::State;

/// A place in the log of a node.
#[derive(Debug)]
pub(crate) struct LogReader {
    state: State,
    node: NodeName,
    path: PathBuf,
    file: File,
    position: u64,
}

/// What was read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// The next bytes.
    Bytes(Vec<u8>),
    /// Nothing for now.
    Nothing,
    /// The log was deleted.
    Gone,
}

impl LogReader {
    /// Begins so many lines before the end.
    ///
    /// # Errors
    /// There is no log, or it cannot be read.
    pub(crate) fn before_end(state: &State, node: &NodeName, lines: u64) -> Result<Self, Failure> {
        let newest = nodes::newest_log(state, node)?;
        let mut place = None;
        let mut missing = lines;
        for path in nodes::logs(state, node)?.into_iter().rev() {
            let file = open(&path)?;
            let (position, found) =
                start_of_last_lines(&file, missing).map_err(|error| unreadable(&path, &error))?;
            place = Some((path, file, position));
            missing = missing.saturating_sub(found);
            if missing == 0 {
                break;
            }
        }
        let (path, file, position) = match place {
            Some(place) => place,
            None => (newest.clone(), open(&newest)?, 0),
        };
        Ok(Self {
            state: state.clone(),
            node: node.clone(),
            path,
            file,
            position,
        })
    }

    /// Reads on.
    ///
    /// # Errors
    /// The log cannot be read.
    pub(crate) fn read(&mut self) -> Result<Part, Failure> {
        loop {
            // Looked for first: once there is a newer file, nothing more comes into this one.
            let next = nodes::logs(&self.state, &self.node)?
                .into_iter()
                .find(|path| *path > self.path);
            if let Some(bytes) = self.read_file()? {
                return Ok(Part::Bytes(bytes));
            }
            match next {
                Some(path) => self.go_to(path)?,
                None => match fs::metadata(&self.path) {
                    Ok(metadata) if !self.is(&metadata)? => self.go_to(self.path.clone())?,
                    Ok(_) => return Ok(Part::Nothing),
                    Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Part::Gone),
                    Err(error) => return Err(unreadable(&self.path, &error)),
                },
            }
        }
    }

    fn read_file(&mut self) -> Result<Option<Vec<u8>>, Failure> {
        let mut read = || {
            if self.file.metadata()?.len() < self.position {
                // It was emptied.
                self.position = 0;
            }
            self.file.seek(SeekFrom::Start(self.position))?;
            let mut bytes = Vec::new();
            (&self.file).take(PART).read_to_end(&mut bytes)?;
            io::Result::Ok(bytes)
        };
        let bytes = read().map_err(|error| unreadable(&self.path, &error))?;
        self.position += bytes.len() as u64;
        Ok((!bytes.is_empty()).then_some(bytes))
    }

    /// Whether this is the file that is open.
    fn is(&self, metadata: &fs::Metadata) -> Result<bool, Failure> {
        let open = self
            .file
            .metadata()
            .map_err(|error| unreadable(&self.path, &error))?;
        Ok((open.dev(), open.ino()) == (metadata.dev(), metadata.ino()))
    }

    fn go_to(&mut self, path: PathBuf) -> Result<(), Failure> {
        self.file = open(&path)?;
        self.path = path;
        self.position = 0;
        Ok(())
    }
}

/// Where the last lines of a file begin, and how many there are of those that were wanted.
fn start_of_last_lines(mut file: &File, lines: u64) -> io::Result<(u64, u64)> {
    let end = file.metadata()?.len();
    let mut found = 0;
    let mut start = end;
    while start > 0 {
        let part_end = start;
        start = start.saturating_sub(PART);
        file.seek(SeekFrom::Start(start))?;
        let mut bytes = Vec::new();
        file.take(part_end - start).read_to_end(&mut bytes)?;
        for (index, byte) in bytes.iter().enumerate().rev() {
            let after = start + index as u64 + 1;
            // What follows the last line break is a line only if there is something.
            if *byte == b'\n' && after < end {
                found += 1;
            }
            if found == lines {
                return Ok((after, found));
            }
        }
    }
    // The first line has no line break before it.
    Ok((0, if end == 0 { 0 } else { found + 1 }))
}

fn open(path: &Path) -> Result<File, Failure> {
    File::open(path).map_err(|error| unreadable(path, &error))
}

fn unreadable(path: &Path, error: &io::Error) -> Failure {
    Failure::internal(format!("{} cannot be read", path.display()), error)
}

/// Bytes that are read at a time.
const PART: u64 = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_found_from_the_end() {
        for (text, lines, expected) in [
            ("", 3, (0, 0)),
            ("a\n", 3, (0, 1)),
            ("a\nb\nc\n", 2, (2, 2)),
            ("a\nb\nc\n", 3, (0, 3)),
            ("a\nb\nc", 1, (4, 1)),
            ("a\n\n\n", 2, (2, 2)),
            ("a\nb\n", 0, (4, 0)),
        ] {
            let file = tempfile::NamedTempFile::new().expect("a file");
            fs::write(file.path(), text).expect("it is written");
            let found = start_of_last_lines(file.as_file(), lines).expect("it is read");
            assert_eq!(found, expected, "{text:?} {lines}");
        }
        let file = tempfile::NamedTempFile::new().expect("a file");
        let line = format!("{}\n", "x".repeat(999));
        fs::write(file.path(), line.repeat(300)).expect("it is written");
        let found = start_of_last_lines(file.as_file(), 250).expect("it is read");
        assert_eq!(found, (50_000, 250));
    }

    #[tokio::test]
    async fn a_log_is_one_text_over_midnight_and_over_a_new_node_of_the_name() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let state = State::open(directory.path(), None).await.expect("it opens");
        let node: NodeName = "n1".parse().expect("a name");
        assert!(LogReader::before_end(&state, &node, 10).is_err());
        let logs = state
            .home()
            .create_node_directory(&node)
            .expect("it is made");
        let write = |day: &str, text: &str| {
            let path = logs.join(format!("stdout.{day}.log"));
            let mut all = fs::read(&path).unwrap_or_default();
            all.extend_from_slice(text.as_bytes());
            fs::write(&path, all).expect("it is written");
        };
        write("2026-01-01", "1\n2\n3\n");
        write("2026-01-02", "4\n");
        let mut reader = LogReader::before_end(&state, &node, 2).expect("there is a log");
        let mut text = || {
            let mut text = Vec::new();
            loop {
                match reader.read().expect("it is read") {
                    Part::Bytes(bytes) => text.extend(bytes),
                    end => return (String::from_utf8(text).expect("a text"), end),
                }
            }
        };
        assert_eq!(text(), ("3\n4\n".to_owned(), Part::Nothing));
        write("2026-01-02", "5\n");
        write("2026-01-03", "6\n");
        assert_eq!(text(), ("5\n6\n".to_owned(), Part::Nothing));
        fs::remove_dir_all(&logs).expect("it is removed");
        assert_eq!(text(), (String::new(), Part::Gone));
        state
            .home()
            .create_node_directory(&node)
            .expect("it is made");
        write("2026-01-03", "7\n");
        assert_eq!(text(), ("7\n".to_owned(), Part::Nothing));
    }
}
