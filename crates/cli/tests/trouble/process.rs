//! Processes of this machine, as `/proc` shows them.

use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, setrlimit};

/// Waits for a condition; the only way a trial waits.
#[track_caller]
pub(crate) fn wait_until(what: &str, within: Duration, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + within;
    while !condition() {
        assert!(Instant::now() < end, "not within {within:?}: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Ends a process at once and waits until it is gone.
pub(crate) fn kill(pid: u32) {
    send(pid, Signal::KILL);
    wait_until(
        "the killed process is gone",
        Duration::from_secs(10),
        || !runs(pid),
    );
}

/// Sends a signal to a process, which may be gone.
pub(crate) fn send(pid: u32, signal: Signal) {
    let pid = Pid::from_raw(pid.try_into().unwrap()).unwrap();
    let _ = kill_process(pid, signal);
}

/// Whether a process runs; one that waits for its parent does not.
pub(crate) fn runs(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .ok()
        .and_then(|stat| {
            stat.rsplit(')')
                .next()
                .map(|rest| !rest.trim_start().starts_with(['Z', 'X']))
        })
        .unwrap_or(false)
}

/// Ends every process that has this path in its environment or its arguments.
pub(crate) fn kill_all_that_mention(path: &Path) {
    let path = path.as_os_str().as_encoded_bytes();
    // Twice: a process may have started another one meanwhile.
    for _ in 0..2 {
        for entry in std::fs::read_dir("/proc").unwrap().flatten() {
            let Some(pid) = entry
                .file_name()
                .to_str()
                .and_then(|name| name.parse::<u32>().ok())
            else {
                continue;
            };
            let mentions = ["environ", "cmdline"].iter().any(|file| {
                std::fs::read(entry.path().join(file))
                    .is_ok_and(|text| text.windows(path.len()).any(|window| window == path))
            });
            if mentions && pid != std::process::id() {
                send(pid, Signal::KILL);
            }
        }
    }
}

/// Memory of a process, in KiB, and how it grows.
#[derive(Debug)]
pub(crate) struct Memory {
    pid: u32,
    idle: u64,
}

impl Memory {
    /// Takes the present size as the idle one and begins to watch the peak.
    pub(crate) fn watch(pid: u32) -> Self {
        std::fs::write(format!("/proc/{pid}/clear_refs"), "5").unwrap();
        Self {
            pid,
            idle: field(pid, "VmRSS:"),
        }
    }

    /// The peak since the watch began must be at most so much above idle.
    #[track_caller]
    pub(crate) fn assert_peak_within(&self, mebibytes: u64) {
        let grown = self.peak();
        assert!(
            grown <= mebibytes * 1024,
            "{grown} KiB above the {} KiB of the idle process",
            self.idle
        );
    }

    /// KiB that it has now beyond idle.
    pub(crate) fn grown(&self) -> u64 {
        field(self.pid, "VmRSS:").saturating_sub(self.idle)
    }

    /// KiB of the peak above idle.
    pub(crate) fn peak(&self) -> u64 {
        field(self.pid, "VmHWM:").saturating_sub(self.idle)
    }
}

/// Open descriptors of a process.
pub(crate) fn descriptors(pid: u32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/fd"))
        .unwrap()
        .count()
}

/// Processor time a process has used.
pub(crate) fn processor_time(pid: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .unwrap()
        .split_whitespace()
        .collect();
    // utime and stime are the fields 14 and 15 of the whole line, in hundredths of a second.
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    Duration::from_millis(ticks * 10)
}

/// Lets this test program, and what it starts, hold as many descriptors as the system lets it; returns how many.
pub(crate) fn allow_many_descriptors() -> u64 {
    let allowed = getrlimit(Resource::Nofile).maximum;
    // Root may have more than it was given.
    for most in [allowed.map(|allowed| allowed.max(DESCRIPTORS)), allowed] {
        let limit = Rlimit {
            current: most,
            maximum: most,
        };
        if setrlimit(Resource::Nofile, limit).is_ok() {
            break;
        }
    }
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

fn field(pid: u32, name: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

const DESCRIPTORS: u64 = 20_000;
