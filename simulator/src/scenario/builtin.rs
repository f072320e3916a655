//! Where scenarios come from: those that are shipped inside the binary, and files.

use std::path::Path;

use super::{Broken, Scenario};

include!(concat!(env!("OUT_DIR"), "/scenarios.rs"));

/// The scenarios that are shipped: name and text, by name.
pub fn shipped() -> &'static [(&'static str, &'static str)] {
    &SHIPPED
}

/// The scenarios that this argument means: a file, every `.yaml` of a directory, or the name of one that is shipped.
pub fn find(argument: &str) -> Result<Vec<Scenario>, Broken> {
    let path = Path::new(argument);
    if path.is_dir() {
        return directory(argument);
    }
    if path.is_file() {
        return read(path).map(|scenario| vec![scenario]);
    }
    match shipped().iter().find(|(name, _)| *name == argument) {
        Some((name, text)) => Scenario::parse(name, &origin(name), text).map(|scenario| vec![scenario]),
        None => Err(Broken::new(argument, None, unknown(argument))),
    }
}

/// Where a shipped scenario stands in the repository.
fn origin(name: &str) -> String {
    format!("scenarios/{name}.yaml")
}

fn directory(argument: &str) -> Result<Vec<Scenario>, Broken> {
    let unreadable = |error: std::io::Error| Broken::new(argument, None, format!("cannot be read: {error}"));
    let mut files = Vec::new();
    for entry in std::fs::read_dir(argument).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.extension().is_some_and(|ending| ending == "yaml") {
            files.push(path);
        }
    }
    if files.is_empty() {
        return Err(Broken::new(argument, None, "has no `.yaml` file"));
    }
    files.sort();
    files.iter().map(|path| read(path)).collect()
}

fn read(path: &Path) -> Result<Scenario, Broken> {
    let origin = path.display().to_string();
    let text = std::fs::read_to_string(path)
        .map_err(|error| Broken::new(&origin, None, format!("cannot be read: {error}")))?;
    let name = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    if name.is_empty() || name.contains(|c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '_') {
        let problem = "the file's name is the scenario's: letters, digits, `-` and `_`, and then `.yaml`";
        return Err(Broken::new(&origin, None, problem));
    }
    let is_shipped = shipped().iter().any(|(shipped, is)| *shipped == name && *is == text);
    let path = (!is_shipped).then(|| origin.clone());
    Scenario::parse(&name, &origin, &text).map(|scenario| Scenario { path, ..scenario })
}

fn unknown(argument: &str) -> String {
    let near: Vec<_> = shipped()
        .iter()
        .map(|(name, _)| *name)
        .filter(|name| name.split('-').any(|word| word.len() > 3 && argument.contains(word)))
        .collect();
    let hint = if near.is_empty() { String::new() } else { format!(", for example {}", near.join(", ")) };
    format!("is neither a file nor the name of a shipped scenario; `holdfast-sim list` shows those{hint}")
}
