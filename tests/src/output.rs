//! Lines for people. A reader that went away (`make demo | head`) is no reason to fail, let alone to leave processes behind.

use std::cell::RefCell;
use std::io::{self, Write};

thread_local! {
    /// What is held back of this thread's lines.
    static HELD: RefCell<Option<Vec<String>>> = const { RefCell::new(None) };
}

/// Prints one line on standard output, or holds it back where [`hold`] says so. A closed pipe is ignored, where `println!`
/// would panic.
pub fn line(text: impl AsRef<str>) {
    let text = text.as_ref();
    let is_held =
        HELD.with_borrow_mut(|held| held.as_mut().map(|lines| lines.push(text.to_owned())).is_some());
    if !is_held {
        print(&[text.to_owned()]);
    }
}

/// Holds back this thread's lines, to print them in one piece under a title: for tests that run beside each other.
pub fn hold(title: &str) -> Held {
    HELD.set(Some(vec![title.to_owned()]));
    Held(())
}

/// Prints what was held back when it is dropped.
#[derive(Debug)]
#[must_use = "nothing is held back any more when it is dropped"]
pub struct Held(());

impl Drop for Held {
    fn drop(&mut self) {
        print(&HELD.take().unwrap_or_default());
    }
}

fn print(lines: &[String]) {
    let mut stdout = io::stdout().lock();
    let _ = writeln!(stdout, "{}", lines.join("\n"));
    let _ = stdout.flush();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_back_is_printed_once() {
        let held = hold("a test");
        line("a line of it");
        assert_eq!(
            HELD.with_borrow(Clone::clone),
            Some(vec!["a test".to_owned(), "a line of it".to_owned()])
        );
        drop(held);
        assert_eq!(HELD.with_borrow(Clone::clone), None);
    }
}
