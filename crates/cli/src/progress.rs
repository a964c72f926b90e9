//! The sign of life on a terminal while a command takes longer than a second.
//!
//! **Invariants**
//! - Nothing is drawn unless standard error is a terminal.
//! - Whoever writes to the terminal does so through [`Progress::aside`], which takes the sign away first.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

/// A spinner that appears after a second.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    // Orders drawing and other writing to standard error; held for one short write, or for as long as a question waits.
    shown: Arc<Mutex<Shown>>,
    // What is waited for; held for a copy.
    text: Arc<Mutex<String>>,
    stop: mpsc::Sender<()>,
    thread: JoinHandle<()>,
}

/// Whether the sign stands on the current line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shown {
    Yes,
    No,
    Ended,
}

impl Progress {
    /// Begins to wait; `None` draws nothing.
    pub(crate) fn start(text: Option<&str>) -> Self {
        let Some(text) = text else {
            return Self::default();
        };
        let shown = Arc::new(Mutex::new(Shown::No));
        let text = Arc::new(Mutex::new(text.to_owned()));
        let (stop, stopped) = mpsc::channel();
        let thread = std::thread::Builder::new()
            .name("progress".to_owned())
            .spawn({
                let shown = Arc::clone(&shown);
                let text = Arc::clone(&text);
                move || draw(&text, &shown, &stopped)
            });
        Self {
            running: thread.ok().map(|thread| Running {
                shown,
                text,
                stop,
                thread,
            }),
        }
    }

    /// Says what is waited for from now on.
    pub(crate) fn say(&self, text: &str) {
        if let Some(running) = &self.running {
            text.clone_into(&mut running.text.lock().unwrap_or_else(PoisonError::into_inner));
        }
    }

    /// Takes the sign away, does something with the terminal, and lets the sign come back.
    pub(crate) fn aside<T>(&self, action: impl FnOnce() -> T) -> T {
        let Some(running) = &self.running else {
            return action();
        };
        let mut shown = lock(&running.shown);
        clear(&mut shown);
        action()
    }

    /// Takes the sign away for good.
    pub(crate) fn end(&self) {
        if let Some(running) = &self.running {
            let mut shown = lock(&running.shown);
            clear(&mut shown);
            *shown = Shown::Ended;
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.end();
        if let Some(running) = self.running.take() {
            drop(running.stop);
            // The thread does nothing that could panic or block.
            let _ = running.thread.join();
        }
    }
}

fn draw(text: &Mutex<String>, shown: &Mutex<Shown>, stopped: &mpsc::Receiver<()>) {
    let mut wait = PATIENCE;
    for frame in FRAMES.iter().cycle() {
        if stopped.recv_timeout(wait) != Err(mpsc::RecvTimeoutError::Timeout) {
            return;
        }
        wait = PACE;
        let text = text.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut shown = lock(shown);
        if *shown == Shown::Ended {
            return;
        }
        let mut error = io::stderr().lock();
        if write!(error, "\r  {frame} {text}\x1b[K")
            .and_then(|()| error.flush())
            .is_err()
        {
            return;
        }
        *shown = Shown::Yes;
    }
}

fn clear(shown: &mut Shown) {
    if *shown == Shown::Yes {
        let mut error = io::stderr().lock();
        // A terminal that is gone needs no clearing.
        let _ = error.write_all(b"\r\x1b[K").and_then(|()| error.flush());
        *shown = Shown::No;
    }
}

fn lock(shown: &Mutex<Shown>) -> MutexGuard<'_, Shown> {
    shown.lock().unwrap_or_else(PoisonError::into_inner)
}

const PATIENCE: Duration = Duration::from_secs(1);
const PACE: Duration = Duration::from_millis(100);
const FRAMES: &[char] = &['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'];
