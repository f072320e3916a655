//! The phases as stacked bars, in SVG that needs nothing else.

use std::fmt::Write;

use super::phases::Phase;
use super::result::{Results, Row};

/// What is stacked, in this order, with its colour. A phase that a peer does not have, such as the start of a standby, is part
/// of the next one that it has.
const STACK: [(Phase, &str); 8] = [
    (Phase::ProcessUp, "#9aa5b1"),
    (Phase::RestUp, "#c3cad3"),
    (Phase::Leadership, "#d1495b"),
    (Phase::PointersRead, "#edae49"),
    (Phase::Restored, "#f4d58d"),
    (Phase::AllRunning, "#00798c"),
    (Phase::FirstRecord, "#30638e"),
    (Phase::NewCheckpoint, "#8fb8de"),
];

const WIDTH: f64 = 960.0;
const LEFT: f64 = 190.0;
const RIGHT: f64 = 80.0;
const ROW: f64 = 26.0;
const BAR: f64 = 18.0;
const HEAD: f64 = 64.0;

/// One part of a bar, in milliseconds after the fault.
#[derive(Debug, PartialEq)]
struct Part {
    phase: Phase,
    colour: &'static str,
    from_ms: f64,
    to_ms: f64,
}

/// The picture, of the medians.
pub(super) fn svg(results: &Results) -> String {
    let rows: Vec<&Row> = results.rows.iter().collect();
    let longest = rows.iter().flat_map(|row| parts(row)).map(|part| part.to_ms).fold(1000.0, f64::max);
    let scale = (WIDTH - LEFT - RIGHT) / longest;
    let height = HEAD + ROW * rows.len() as f64 + 30.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" \
         font-size=\"12\" role=\"img\"><title>Phases of a failover, seconds after the fault, medians</title>\n\
         <rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#ffffff\"/>\n"
    );
    legend(&mut svg);
    axis(&mut svg, longest, scale, height);
    let several = rows.iter().any(|row| row.case != rows[0].case);
    for (n, row) in rows.iter().enumerate() {
        let name = if several { format!("{}, {}", row.peer, row.case) } else { row.peer.to_string() };
        bar(&mut svg, row, &name, HEAD + ROW * n as f64, scale);
    }
    svg.push_str("</svg>\n");
    svg
}

fn legend(svg: &mut String) {
    for (n, (phase, colour)) in STACK.iter().enumerate() {
        let (x, y) = (LEFT + 170.0 * (n % 4) as f64, 12.0 + 20.0 * (n / 4) as f64);
        let _ = writeln!(
            svg,
            "<rect x=\"{x}\" y=\"{y}\" width=\"12\" height=\"12\" fill=\"{colour}\"/>\
             <text x=\"{}\" y=\"{}\" fill=\"#222\">until {}</text>",
            x + 18.0,
            y + 10.5,
            phase.title()
        );
    }
}

fn axis(svg: &mut String, longest: f64, scale: f64, height: f64) {
    let step = step_ms(longest);
    let bottom = height - 22.0;
    let mut at = 0.0;
    while at <= longest {
        let x = LEFT + at * scale;
        let _ = writeln!(
            svg,
            "<line x1=\"{x:.1}\" y1=\"{HEAD}\" x2=\"{x:.1}\" y2=\"{bottom}\" stroke=\"#e4e7eb\"/>\
             <text x=\"{x:.1}\" y=\"{}\" fill=\"#555\" text-anchor=\"middle\">{} s</text>",
            bottom + 15.0,
            at / 1000.0
        );
        at += step;
    }
}

fn bar(svg: &mut String, row: &Row, name: &str, y: f64, scale: f64) {
    let text_y = y + BAR - 4.5;
    let _ = writeln!(
        svg,
        "<text x=\"{}\" y=\"{text_y}\" fill=\"#222\" text-anchor=\"end\">{name}</text>",
        LEFT - 8.0
    );
    let parts = parts(row);
    for Part { phase, colour, from_ms, to_ms } in &parts {
        let _ = writeln!(
            svg,
            "<rect x=\"{:.1}\" y=\"{y}\" width=\"{:.1}\" height=\"{BAR}\" fill=\"{colour}\"><title>{}: {:.2} s</title></rect>",
            LEFT + from_ms * scale,
            ((to_ms - from_ms) * scale).max(0.5),
            phase.title(),
            to_ms / 1000.0
        );
    }
    let (end, label) = match (parts.last(), row.spread(Phase::AllRunning)) {
        (Some(last), Some(running)) => (last.to_ms, format!("{:.2} s", running.median / 1000.0)),
        _ if row.undisturbed() == row.outcomes.len() => (0.0, "the job went on undisturbed".to_owned()),
        _ => (0.0, "did not recover".to_owned()),
    };
    let _ = writeln!(
        svg,
        "<text x=\"{:.1}\" y=\"{text_y}\" fill=\"#222\">{label}</text>",
        LEFT + end * scale + 6.0
    );
}

/// The parts of a bar, one behind the other.
fn parts(row: &Row) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut from_ms = 0.0;
    for (phase, colour) in STACK {
        // Medians of different phases may come from different kills, and cross.
        if let Some(spread) = row.spread(phase).filter(|spread| spread.median > from_ms) {
            parts.push(Part { phase, colour, from_ms, to_ms: spread.median });
            from_ms = spread.median;
        }
    }
    parts
}

/// The distance of two marks: 1, 2 or 5 times a power of ten, at most ten of them.
fn step_ms(longest: f64) -> f64 {
    let steps = (0..).map(|n| [1.0, 2.0, 5.0][n % 3] * 100.0 * 10f64.powi((n / 3) as i32));
    steps.into_iter().find(|step| longest / step <= 10.0).expect("the steps grow without end")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failover::result::tests::{results, row};

    #[test]
    fn the_parts_of_a_bar_follow_each_other() {
        let parts = parts(&row("holdfast", &[2000]));
        assert_eq!(parts[0], Part { phase: Phase::ProcessUp, colour: "#9aa5b1", from_ms: 0.0, to_ms: 500.0 });
        assert!(parts.windows(2).all(|pair| pair[0].to_ms == pair[1].from_ms));
        assert_eq!(parts.last().map(|part| part.to_ms), Some(2800.0));
    }

    #[test]
    fn every_peer_has_a_bar_and_its_median() {
        let svg = svg(&results());
        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
        for expected in [">zookeeper<", ">41.00 s<", ">holdfast<", ">1.80 s<"] {
            assert!(svg.contains(expected), "{expected} is not in {svg}");
        }
    }

    #[test]
    fn there_are_at_most_ten_marks() {
        assert_eq!([step_ms(1000.0), step_ms(1500.0), step_ms(42_000.0)], [100.0, 200.0, 5000.0]);
    }
}
