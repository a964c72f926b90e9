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

    /// Whether the process is alive.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.state() == ProcessState::Running
    }
}

struct Found {
    started: u64,
    state: ProcessState,
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
        }),
        Err(_) => None,
    }
}

/// Reads the state (field 3) and the start time (field 22) of `/proc/<pid>/stat`. Field 2 is the name of the program
/// in parentheses and may itself hold blanks and parentheses, so counting starts behind the last one.
fn parse_stat(stat: &[u8]) -> Option<Found> {
    let end = stat.iter().rposition(|&byte| byte == b')')?;
    let rest = std::str::from_utf8(stat.get(end + 1..)?).ok()?;
    let mut fields = rest.split_ascii_whitespace();
    let state = match fields.next()? {
        "Z" | "X" | "x" => ProcessState::Zombie,
        _ => ProcessState::Running,
    };
    let started = fields.nth(18)?.parse().ok()?;
    Some(Found { started, state })
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
    }
}
