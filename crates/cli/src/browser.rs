//! Opens an address in the browser of whoever is at the terminal.

use std::process::{Command, Stdio};

use crate::environment::Environment;

/// Opens an address, where there is a screen and a program for it. Whether a window came is not known.
pub(crate) fn open(environment: &Environment, url: &str) -> bool {
    // It becomes an argument of a program: nothing but addresses of the web, and no option.
    let is_web = url.starts_with("https://") || url.starts_with("http://");
    let set = |name| environment.get(name).is_some_and(|value| !value.is_empty());
    let programs: &[&str] = if cfg!(target_os = "macos") {
        &["open"]
    } else if set("DISPLAY") || set("WAYLAND_DISPLAY") || set("WSL_DISTRO_NAME") {
        &["xdg-open", "wslview"]
    } else {
        return false;
    };
    is_web
        && programs.iter().any(|program| {
            Command::new(program)
                .arg(url)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .is_ok()
        })
}
