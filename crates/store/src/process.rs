//! Which process a node runs in, so that a reused process number is not taken for the node.

use std::fs;

/// A process, named by its number and the time it started.
///
/// The number alone is reused by the system; the start time tells the two processes apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProcessMark {
    /// Process number.
    pub pid: u32,
    /// When it started, in clock ticks since the system did; 0 where the system does not tell.
    pub started: u64,
}

/// What a process is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProcessState {
    /// It is alive.
    Running,
    /// It has ended, its parent has not collected it yet.
    Zombie,
    /// There is no such process (or the number belongs to another one now).
    Stopped,
}

impl ProcessMark {
    /// The calling process.
    #[must_use]
    pub fn current() -> Self {
        let pid = std::process::id();
        Self::of(pid).unwrap_or(Self { pid, started: 0 })
    }

    /// The process that has this number now, if any.
    #[must_use]
    pub fn of(pid: u32) -> Option<Self> {
        look_up(pid).map(|found| Self {
            pid,
            started: found.started,
        })
    }

    /// What the process does now.
    #[must_use]
    pub fn state(&self) -> ProcessState {
        match look_up(self.pid) {
            Some(found) if found.started == self.started || self.started == 0 => found.state,
            _ => ProcessState::Stopped,
        }
    }

    /// Whether it was told to end and has not quite: until its last thread has ended it holds its files and sockets.
    #[must_use]
    pub fn is_ending(&self) -> bool {
        look_up(self.pid).is_some_and(|found| {
            found.started == self.started
                && found.state == ProcessState::Zombie
                && found.threads > 1
        })
    }

    /// Whether the process is alive.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.state() == ProcessState::Running
    }
}

struct Found {
    started: u64,
    state: ProcessState,
    threads: u64,
}

fn look_up(pid: u32) -> Option<Found> {
    if fs::exists("/proc/self/stat").unwrap_or(false) {
        let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
        return parse_stat(&stat);
    }
    let number = i32::try_from(pid)
        .ok()
        .and_then(rustix::process::Pid::from_raw)?;
    match rustix::process::test_kill_process(number) {
        Ok(()) | Err(rustix::io::Errno::PERM) => Some(Found {
            started: 0,
            state: ProcessState::Running,
            threads: 1,
        }),
        Err(_) => None,
    }
}

/// Reads the state (field 3), the threads (field 20) and the start time (field 22) of `/proc/<pid>/stat`. Field 2 is the name of the program
/// in parentheses and may itself hold blanks and parentheses, so counting starts behind the last one.
fn parse_stat(stat: &[u8]) -> Option<Found> {
    let end = stat.iter().rposition(|&byte| byte == b')')?;
    let rest = std::str::from_utf8(stat.get(end + 1..)?).ok()?;
    let mut fields = rest.split_ascii_whitespace();
    let state = match fields.next()? {
        "Z" | "X" | "x" => ProcessState::Zombie,
        _ => ProcessState::Running,
    };
    let threads = fields.nth(16)?.parse().ok()?;
    let started = fields.nth(1)?.parse().ok()?;
    Some(Found {
        started,
        state,
        threads,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn the_calling_process_runs() {
        assert_eq!(ProcessMark::current().state(), ProcessState::Running);
    }

    #[test]
    fn an_ended_child_is_a_zombie_until_collected_and_then_stopped() {
        let mut child = Command::new("true").spawn().unwrap();
        let mark = ProcessMark::of(child.id()).unwrap();
        for _ in 0..500 {
            if mark.state() == ProcessState::Zombie {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        assert_eq!(mark.state(), ProcessState::Zombie);
        child.wait().unwrap();
        assert_eq!(mark.state(), ProcessState::Stopped);
    }

    #[test]
    fn a_reused_number_is_not_the_same_process() {
        let mut other = ProcessMark::current();
        other.started += 1;
        assert_eq!(other.state(), ProcessState::Stopped);
    }

    #[test]
    fn a_program_name_with_parentheses_is_skipped() {
        let line = b"7 (a) Z (b)) S 1 7 7 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 4711 1 1";
        let found = parse_stat(line).unwrap();
        assert_eq!(found.started, 4711);
        assert_eq!(found.state, ProcessState::Running);
        assert_eq!(found.threads, 1);
    }

    mod needs_python3 {
        use super::*;

        #[test]
        fn only_a_dead_process_with_threads_left_is_ending() {
            // A thread that stays behind when the first one ends is what a killed process looks like for a moment.
            let mut child = Command::new("python3")
                .args(["-c", LEADER_ENDS])
                .stdin(std::process::Stdio::piped())
                .spawn()
                .unwrap();
            let mark = ProcessMark::of(child.id()).unwrap();
            for _ in 0..6000 {
                if mark.state() == ProcessState::Zombie {
                    break;
                }
                std::thread::sleep(std::time::Duration::from_millis(10));
            }
            assert!(mark.is_ending());
            drop(child.stdin.take());
            child.wait().unwrap();
            assert!(!mark.is_ending());
            assert!(!ProcessMark::current().is_ending());
        }

        /// The first thread ends; another one reads until there is no more.
        const LEADER_ENDS: &str = "import ctypes, os, threading
threading.Thread(target=lambda: (os.read(0, 1), os._exit(0))).start()
ctypes.CDLL(None).pthread_exit(None)";
    }
}
