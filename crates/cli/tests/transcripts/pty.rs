//! A terminal for one command.

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::os::unix::ffi::OsStrExt as _;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

/// The side of the person and the side of the program.
pub(crate) fn open() -> (File, File) {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let name = ptsname(&master, Vec::new()).unwrap();
    let slave = OpenOptions::new()
        .read(true)
        .write(true)
        .open(OsStr::from_bytes(name.to_bytes()))
        .unwrap();
    (File::from(master), slave)
}

/// What stays on the screen: no sign of life, no carriage returns, of a menu only its end.
pub(crate) fn still(text: &str) -> String {
    // Only menus hide the cursor.
    if text.contains("\x1b[?25l") {
        let mut screen = vt100::Parser::new(LINES, COLUMNS, 0);
        screen.process(text.as_bytes());
        return screen.screen().contents();
    }
    let mut still = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\r') {
        still.push_str(before);
        // A drawn frame ends where the line is cleared; at the end of a line the return belongs to the new line.
        rest = match after.split_once("\x1b[K") {
            Some((drawn, after)) if !drawn.contains('\n') => after,
            _ => after,
        };
    }
    still.push_str(rest);
    still
}

const LINES: u16 = 200;
const COLUMNS: u16 = 100;
