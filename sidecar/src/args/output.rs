//! What commands print: results on standard output for people or scripts, complaints on standard error.

use std::io::{self, BufWriter, ErrorKind, Write};
use std::process::ExitCode;

use anyhow::Error;
use serde::Serialize;

use super::exit::{Exit, Failure};

/// The option that every command with an answer has.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(super) struct Output {
    /// For people or for scripts
    #[arg(short, long, value_name = "FORMAT", value_enum, default_value_t = Format::Table)]
    output: Format,
}

/// Who reads a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Format {
    /// Text for people; it may change
    Table,
    /// JSON for scripts; fields are added, never renamed
    Json,
}

impl Output {
    /// Prints the answer as it was asked for, or complains, and gives the exit status. `verdict` says what an answer
    /// that was found means: most are [`Exit::Ok`].
    pub(super) fn finish<T: Serialize>(
        self,
        found: Result<T, Failure>,
        verdict: impl FnOnce(&T) -> Exit,
        table: impl FnOnce(&mut dyn Write, &T) -> io::Result<()>,
    ) -> ExitCode {
        let found = match found {
            Ok(found) => found,
            Err(failure) => {
                complain(failure.error());
                return failure.exit().into();
            }
        };
        let printed = print(|out| match self.output {
            Format::Table => table(out, &found),
            Format::Json => {
                serde_json::to_writer_pretty(&mut *out, &found)?;
                writeln!(out)
            }
        });
        match printed {
            Ok(()) => verdict(&found).into(),
            Err(error) => {
                complain(&Error::from(error).context("the answer cannot be printed"));
                Exit::Unknown.into()
            }
        }
    }
}

/// Prints a result. A reader that went away (`… | head`) has what it wanted: that is no error, where `print!` panics.
///
/// # Errors
/// When standard output takes no more for any other reason: a full disk.
pub(super) fn print(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let mut out = BufWriter::new(io::stdout().lock());
    match write(&mut out).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => {
            // What is left in the buffer must not be tried again when it is dropped.
            drop(out.into_parts());
            Ok(())
        }
        done => done,
    }
}

/// Says what is wrong, before there is a log or in a command that has none.
pub(super) fn complain(error: &anyhow::Error) {
    // With standard error gone too there is nobody to tell; the exit status still does.
    let _ = writeln!(io::stderr(), "holdfast: {error:#}");
}

/// A text out of a file or store, without what would drive the terminal that it is shown on.
pub(super) fn shown(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut safe, c| {
        if c.is_control() {
            safe.extend(c.escape_default())
        } else {
            safe.push(c)
        }
        safe
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_drive_the_terminal() {
        assert_eq!(shown("Zähler\u{1b}[2J\n\u{9b}x"), "Zähler\\u{1b}[2J\\n\\u{9b}x");
    }
}
