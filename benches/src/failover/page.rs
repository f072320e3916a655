//! The same as a page of its own: nothing is loaded from anywhere.

use super::picture;
use super::result::Results;
use super::text::{self, Table};

const STYLE: &str = "body{font:14px/1.5 sans-serif;margin:2em auto;max-width:80em;padding:0 1em;color:#222}\
    table{border-collapse:collapse;margin:1em 0;display:block;overflow-x:auto}\
    td,th{padding:.3em .7em;border-bottom:1px solid #ddd;text-align:left;white-space:nowrap}\
    svg{max-width:100%;height:auto}";

/// The page.
pub(super) fn html(results: &Results) -> String {
    let notes: String =
        text::notes(results).iter().map(|note| format!("<li>{}</li>\n", escaped(note))).collect();
    let tables: String = text::all(results).iter().map(table).collect();
    let failures = text::failures(results);
    let failed: String = failures.iter().map(|line| format!("<li>{}</li>\n", escaped(line))).collect();
    let failed =
        if failed.is_empty() { failed } else { format!("<h2>What failed</h2>\n<ul>\n{failed}</ul>\n") };
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Failover</title><style>{STYLE}</style></head>\
         <body>\n<h1>Failover</h1>\n<p>{}</p>\n{}\n{tables}{failed}<h2>How to read this</h2>\n<ul>\n{notes}</ul>\n</body></html>\n",
        escaped(&results.machine.in_words()),
        picture::svg(results)
    )
}

fn table(table: &Table) -> String {
    let row = |cells: &Vec<String>, tag: &str| {
        let cells: String = cells.iter().map(|cell| format!("<{tag}>{}</{tag}>", escaped(cell))).collect();
        format!("<tr>{cells}</tr>\n")
    };
    let rows: String = table.rows.iter().map(|cells| row(cells, "td")).collect();
    format!("<h2>{}</h2>\n<table>\n{}{rows}</table>\n", escaped(&table.title), row(&table.head, "th"))
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failover::result::tests::results;

    #[test]
    fn the_page_loads_nothing_and_says_what_failed() {
        let page = html(&results());
        assert!(page.contains("<svg ") && page.contains("<table>") && page.contains("What failed"));
        for word in ["src=", "href=", "@import", "<script"] {
            assert!(!page.contains(word), "{word}");
        }
    }

    #[test]
    fn text_is_escaped() {
        assert_eq!(escaped("<a & \"b\">"), "&lt;a &amp; &quot;b&quot;&gt;");
    }
}
