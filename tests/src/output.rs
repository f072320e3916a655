//! Lines for people. A reader that went away (`make demo | head`) is no reason to fail, let alone to leave processes behind.

use std::io::{self, Write};

/// Prints one line on standard output. A closed pipe is ignored, where `println!` would panic.
pub fn line(text: impl AsRef<str>) {
    let mut stdout = io::stdout().lock();
    let _ = writeln!(stdout, "{}", text.as_ref());
    let _ = stdout.flush();
}
