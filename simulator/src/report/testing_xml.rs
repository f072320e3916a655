//! A small strict reader of XML and of the HTML that we write: tests ask it whether a document is well-formed.

use std::collections::{BTreeMap, BTreeSet};

/// The elements of a document.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    counts: BTreeMap<String, usize>,
    /// Every `class` attribute's words, and how often each.
    classes: BTreeMap<String, usize>,
    /// Every URL that the document would load by itself.
    pub(crate) loads: Vec<String>,
}

/// HTML's elements without an end.
const VOID: [&str; 6] = ["br", "hr", "img", "input", "link", "meta"];

impl Tree {
    /// How many elements have this name.
    pub(crate) fn count(&self, name: &str) -> usize {
        self.counts.get(name).copied().unwrap_or_default()
    }

    /// How many elements have this class.
    pub(crate) fn classed(&self, class: &str) -> usize {
        self.classes.get(class).copied().unwrap_or_default()
    }
}

/// Reads a document; `Err` says what is not well-formed about it.
pub(crate) fn parse(document: &str) -> Result<Tree, String> {
    let mut tree = Tree::default();
    let mut open: Vec<String> = Vec::new();
    let mut ids = BTreeSet::new();
    let mut rest = document;
    while let Some(start) = rest.find('<') {
        text(&rest[..start])?;
        let end = start + rest[start..].find('>').ok_or("a tag without an end")?;
        let tag = &rest[start + 1..end];
        rest = &rest[end + 1..];
        if tag.starts_with('!') || tag.starts_with('?') {
            continue;
        }
        if let Some(name) = tag.strip_prefix('/') {
            let opened = open.pop().ok_or_else(|| format!("</{name}> ends nothing"))?;
            if opened != name {
                return Err(format!("</{name}> ends <{opened}>"));
            }
            continue;
        }
        let empty = tag.ends_with('/');
        let tag = tag.trim_end_matches('/');
        let (name, attributes) = tag.split_once(char::is_whitespace).unwrap_or((tag, ""));
        *tree.counts.entry(name.to_owned()).or_default() += 1;
        for (key, value) in read_attributes(attributes).map_err(|problem| format!("<{tag}>: {problem}"))? {
            match key.as_str() {
                "class" => {
                    value.split(' ').for_each(|class| *tree.classes.entry(class.to_owned()).or_default() += 1)
                }
                "id" if !ids.insert(value.clone()) => return Err(format!("the id {value} is there twice")),
                "src" => tree.loads.push(value),
                "href" if name == "link" => tree.loads.push(value),
                _ => {}
            }
        }
        if !empty && !VOID.contains(&name) {
            open.push(name.to_owned());
            // What stands in these is not markup.
            if ["style", "script"].contains(&name) {
                let end = rest.find("</").ok_or_else(|| format!("<{name}> without an end"))?;
                rest = &rest[end..];
            }
        }
    }
    text(rest)?;
    if open.is_empty() { Ok(tree) } else { Err(format!("never ended: {open:?}")) }
}

/// No bare `&` or `>`.
fn text(text: &str) -> Result<(), String> {
    if text.contains('>') {
        return Err(format!("a bare > in {text:?}"));
    }
    for (index, _) in text.match_indices('&') {
        let entity = text[index + 1..].split(';').next().unwrap_or_default();
        let known = ["amp", "lt", "gt", "quot"].contains(&entity) || entity.starts_with('#');
        if !known || !text[index..].contains(';') {
            return Err(format!("a bare & in {text:?}"));
        }
    }
    Ok(())
}

fn read_attributes(mut rest: &str) -> Result<Vec<(String, String)>, String> {
    let mut attributes: Vec<(String, String)> = Vec::new();
    loop {
        rest = rest.trim_start();
        if rest.is_empty() {
            return Ok(attributes);
        }
        let end = rest.find(|c: char| c == '=' || c.is_whitespace()).unwrap_or(rest.len());
        let key = rest[..end].to_owned();
        rest = &rest[end..];
        let mut value = String::new();
        if let Some(quoted) = rest.strip_prefix("=\"") {
            let end = quoted.find('"').ok_or("an attribute without an end")?;
            quoted[..end].clone_into(&mut value);
            text(&value)?;
            rest = &quoted[end + 1..];
        } else if rest.starts_with('=') {
            return Err(format!("{key} is not quoted"));
        }
        if attributes.iter().any(|(other, _)| *other == key) {
            return Err(format!("{key} is there twice"));
        }
        attributes.push((key, value));
    }
}

#[test]
fn what_is_not_well_formed_is_seen() {
    assert!(parse("<a b=\"c &lt; d\"><e/><br>f &amp; g</a>").is_ok());
    for wrong in [
        "<a>",
        "<a></b>",
        "</a>",
        "<a",
        "<a>b & c</a>",
        "<a b=c></a>",
        "<a b=\"1\" b=\"2\"></a>",
        "<a>b > c</a>",
    ] {
        assert!(parse(wrong).is_err(), "{wrong}");
    }
}
