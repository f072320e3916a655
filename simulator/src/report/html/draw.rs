//! The pictures of the page: SVG, without a script. Colours are the style sheet's, so that they follow light and dark.

use maud::{Markup, html};

use super::timeline::{End, Lane, Life, Mark, MarkKind, Term, Timeline};
use crate::words;

/// Where the lanes begin, behind their names.
const NAMES: f64 = 132.0;
/// The lanes are a picture of their own beside their names, which stay where they are when the lanes are scrolled. Both are
/// stretched alike: their widths in the style sheet are in the same proportion.
const LEFT: f64 = 10.0;
const WIDTH: f64 = 1_048.0;
const RIGHT: f64 = WIDTH - 12.0;
const LANE: f64 = 26.0;
const FAULT: f64 = 16.0;
const AXIS: f64 = 38.0;
/// Colours of epochs before they repeat; the style sheet has as many.
const EPOCH_COLOURS: u64 = 6;

/// The lanes of one run.
pub(super) fn timeline(timeline: &Timeline) -> Markup {
    let rows = pack(timeline);
    let row_count = rows.iter().map(|row| row + 1).max().unwrap_or(0);
    let top = AXIS + number(row_count) * FAULT + 8.0;
    let height = top + number(timeline.lanes.len()) * LANE + 8.0;
    let x = |ms: u64| LEFT + (RIGHT - LEFT) * share(ms, timeline.end_ms);
    html! {
        svg class="lane-names" viewBox=(format!("0 0 {NAMES} {height:.0}")) aria-hidden="true" {
            @for (index, lane) in timeline.lanes.iter().enumerate() {
                text class="lane-name" x="0" y=(px(top + number(index) * LANE + LANE / 2.0 + 4.0)) { (lane.actor) }
            }
        }
        svg class="timeline" viewBox=(format!("0 0 {WIDTH} {height:.0}")) role="img" aria-label="What happened, over time" {
            defs {
                pattern id="hatch" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)" {
                    rect class="hatch-ground" width="6" height="6" {}
                    rect class="hatch-line" width="2.5" height="6" {}
                }
            }
            (axis(timeline.end_ms, &x, height))
            @for (band, row) in timeline.faults.iter().zip(&rows) {
                (fault(band, *row, &x, height))
            }
            @if let Some(healed_ms) = timeline.healed_ms {
                g {
                    title { "everything is mended at " (words::time(healed_ms)) }
                    line class="healed" x1=(px(x(healed_ms))) x2=(px(x(healed_ms))) y1="2" y2=(px(height)) {}
                    text class="healed-name" x=(px(x(healed_ms) + 4.0)) y="11" { "mended" }
                }
            }
            @for (index, lane) in timeline.lanes.iter().enumerate() {
                (draw_lane(lane, top + number(index) * LANE, &x))
            }
            @if let Some((at_ms, lane)) = timeline.broken {
                (broken(x(at_ms), lane.map(|lane| top + number(lane) * LANE), height, at_ms))
            }
        }
    }
}

fn axis(end_ms: u64, x: &dyn Fn(u64) -> f64, height: f64) -> Markup {
    let step_ms = step(end_ms);
    let ticks = (0..=end_ms / step_ms).map(|tick| tick * step_ms);
    html! {
        g class="axis" {
            @for ms in ticks {
                line x1=(px(x(ms))) x2=(px(x(ms))) y1=(px(AXIS - 4.0)) y2=(px(height)) {}
                text x=(px(x(ms))) y=(px(AXIS - 9.0)) text-anchor="middle" { (ms / 1_000) @if ms == 0 { " s" } }
            }
        }
    }
}

fn fault(band: &super::timeline::Band, row: usize, x: &dyn Fn(u64) -> f64, height: f64) -> Markup {
    let (from, to, y) = (x(band.from_ms), x(band.to_ms), AXIS + number(row) * FAULT);
    let width = (to - from).max(3.0);
    html! {
        g {
            title { (band.fault + 1) ". " (band.words) }
            rect class="fault-band" x=(px(from)) y=(px(y)) width=(px(width)) height=(px(height - y)) {}
            rect class="fault" x=(px(from)) y=(px(y)) width=(px(width)) height=(px(FAULT - 3.0)) rx="2" {}
            @if width > 14.0 {
                text class="in-fault" x=(px(from + 4.0)) y=(px(y + 10.0)) { (band.fault + 1) }
            } @else {
                text class="at-fault" x=(px(from + width + 2.0)) y=(px(y + 10.0)) { (band.fault + 1) }
            }
        }
    }
}

fn draw_lane(lane: &Lane, y: f64, x: &dyn Fn(u64) -> f64) -> Markup {
    let middle = y + LANE / 2.0;
    html! {
        g {
            line class="lane" x1=(px(LEFT)) x2=(px(RIGHT)) y1=(px(middle)) y2=(px(middle)) {}
            @for life in &lane.lives { (draw_life(*life, y, x)) }
            @for term in &lane.terms { (draw_term(*term, y, x)) }
            @for (from_ms, to_ms) in &lane.pauses {
                g {
                    title { "stands still from " (words::time(*from_ms)) " to " (words::time(*to_ms)) }
                    rect class="pause" x=(px(x(*from_ms))) y=(px(y + 4.0)) height=(px(LANE - 8.0))
                        width=(px((x(*to_ms) - x(*from_ms)).max(2.0))) fill="url(#hatch)" {}
                }
            }
            @for mark in &lane.marks {
                g class=(class(mark.kind)) {
                    title { (words::time(mark.at_ms)) ": " (mark.words) }
                    path d=(shape(mark.kind, x(mark.at_ms), y)) {}
                }
            }
            @for term in &lane.terms { (name_term(*term, &lane.marks, y, x)) }
        }
    }
}

fn draw_life(life: Life, y: f64, x: &dyn Fn(u64) -> f64) -> Markup {
    let (from, to) = (x(life.from_ms), x(life.to_ms));
    let (middle, arm) = (y + LANE / 2.0, 4.5);
    let end = match life.end {
        End::StillThere => "is there to the end",
        End::InOrder => "ends in order",
        End::ByItself => "ends by itself",
        End::Killed => "is killed",
    };
    html! {
        g {
            title { "starts at " (words::time(life.from_ms)) ", " (end) " at " (words::time(life.to_ms)) }
            rect class="life" x=(px(from)) y=(px(y + 4.0)) width=(px((to - from).max(1.0))) height=(px(LANE - 8.0)) rx="2" {}
            @match life.end {
                End::Killed => path class="killed" d=(format!(
                    "M{:.1} {:.1}l{} {}m0 -{}l-{} {}", to - arm, middle - arm, arm * 2.0, arm * 2.0, arm * 2.0, arm * 2.0, arm * 2.0
                )) {},
                End::ByItself | End::InOrder => rect class=(if life.end == End::ByItself { "ended bad" } else { "ended" })
                    x=(px(to - 1.5)) y=(px(y + 2.0)) width="3" height=(px(LANE - 4.0)) {},
                End::StillThere => {},
            }
        }
    }
}

fn draw_term(term: Term, y: f64, x: &dyn Fn(u64) -> f64) -> Markup {
    let (from, to) = (x(term.from_ms), x(term.to_ms));
    html! {
        g class=(format!("epoch e{}", term.epoch % EPOCH_COLOURS)) {
            title { "leads under epoch " (term.epoch) " from " (words::time(term.from_ms)) " to " (words::time(term.to_ms)) }
            rect x=(px(from)) y=(px(y + 4.0)) width=(px((to - from).max(2.0))) height=(px(LANE - 8.0)) rx="2" {}
        }
    }
}

/// The epoch's number, over everything else in the lane, if there is room for it behind the marks with which a term begins.
fn name_term(term: Term, marks: &[Mark], y: f64, x: &dyn Fn(u64) -> f64) -> Markup {
    let (from, to) = (x(term.from_ms), x(term.to_ms));
    let number_only = term.epoch.to_string();
    for name in [format!("epoch {number_only}"), number_only] {
        let width = 6.5 * number(name.len());
        if let Some(at) = free(marks, from + 6.0, width, x).filter(|at| at + width + 4.0 < to) {
            return html! { text class="epoch-name" x=(px(at)) y=(px(y + 14.0)) { (name) } };
        }
    }
    Markup::default()
}

/// The first place from here on where a text of this width covers no mark that stands as high as it does. None: it would be
/// far from where it belongs.
fn free(marks: &[Mark], from: f64, width: f64, x: &dyn Fn(u64) -> f64) -> Option<f64> {
    const FAR: f64 = 120.0;
    const REACH: f64 = 7.0;
    let mut at = from;
    let is_high = |mark: &&Mark| mark.kind != MarkKind::Checkpoint;
    for mark in marks.iter().filter(is_high).map(|mark| x(mark.at_ms)) {
        if mark + REACH > at && mark - REACH < at + width {
            at = mark + REACH;
        }
    }
    (at - from < FAR).then_some(at)
}

fn broken(x: f64, lane: Option<f64>, height: f64, at_ms: u64) -> Markup {
    html! {
        g class="broken" {
            title { "a promise is broken at " (words::time(at_ms)) }
            line x1=(px(x)) x2=(px(x)) y1=(px(AXIS - 4.0)) y2=(px(height)) {}
            @if let Some(y) = lane {
                circle cx=(px(x)) cy=(px(y + LANE / 2.0)) r="8" {}
                text x=(px(x)) y=(px(y + LANE / 2.0 + 4.0)) text-anchor="middle" { "!" }
            }
        }
    }
}

/// How often each recovery time was measured.
pub(super) fn histogram(recoveries_ms: &[u64]) -> Markup {
    const BINS: u64 = 30;
    let (width, height, bottom) = (560.0, 150.0, 128.0);
    let most_ms = recoveries_ms.iter().copied().max().unwrap_or(1).max(1);
    let bin_ms = most_ms.div_ceil(BINS).next_multiple_of(100);
    let mut bins = vec![0_usize; usize::try_from(most_ms / bin_ms + 1).unwrap_or(1)];
    for ms in recoveries_ms {
        bins[usize::try_from(ms / bin_ms).unwrap_or(0)] += 1;
    }
    let most = bins.iter().copied().max().unwrap_or(1).max(1);
    let bar = (width - 40.0) / number(bins.len());
    let end_ms = bin_ms * bins.len() as u64;
    let x = |ms: u64| 30.0 + (width - 40.0) * share(ms, end_ms);
    html! {
        svg class="histogram" viewBox=(format!("0 0 {width} {height}")) role="img" aria-label="Recovery times of all runs" {
            line class="base" x1="30" x2=(px(width - 10.0)) y1=(px(bottom)) y2=(px(bottom)) {}
            text class="scale" x="26" y="18" text-anchor="end" { (most) }
            text class="scale" x="26" y=(px(bottom)) text-anchor="end" { "0" }
            @for (index, times) in bins.iter().enumerate().filter(|(_, times)| **times > 0) {
                @let tall = ((bottom - 10.0) * number(*times) / number(most)).max(1.0);
                g {
                    title {
                        (words::time(bin_ms * index as u64)) " to " (words::time(bin_ms * (index as u64 + 1))) ": "
                        (words::counted(*times as u64, "run"))
                    }
                    rect x=(px(30.0 + bar * number(index) + 0.5)) y=(px(bottom - tall)) width=(px((bar - 1.0).max(0.5))) height=(px(tall)) {}
                }
            }
            @for ms in (0..=end_ms / step(end_ms)).map(|tick| tick * step(end_ms)) {
                text class="scale" x=(px(x(ms))) y=(px(bottom + 15.0)) text-anchor="middle" {
                    (ms / 1_000) @if !step(end_ms).is_multiple_of(1_000) { "." (ms % 1_000 / 100) } " s"
                }
            }
        }
    }
}

/// In which row each fault is drawn, so that no two in a row overlap.
fn pack(timeline: &Timeline) -> Vec<usize> {
    let gap_ms = timeline.end_ms / 60; // room for the number behind a short one
    let mut free_from_ms: Vec<u64> = Vec::new();
    let mut rows = Vec::new();
    for band in &timeline.faults {
        let row =
            free_from_ms.iter().position(|free_ms| *free_ms <= band.from_ms).unwrap_or(free_from_ms.len());
        if row == free_from_ms.len() {
            free_from_ms.push(0);
        }
        free_from_ms[row] = band.to_ms + gap_ms;
        rows.push(row);
    }
    rows
}

/// A round distance between ticks, so that there are about ten.
fn step(end_ms: u64) -> u64 {
    const STEPS_MS: [u64; 14] = [
        100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 30_000, 60_000, 120_000, 300_000, 600_000,
        3_600_000,
    ];
    STEPS_MS.into_iter().find(|step_ms| end_ms / step_ms <= 14).unwrap_or(end_ms / 10)
}

fn class(kind: MarkKind) -> &'static str {
    match kind {
        MarkKind::Checkpoint => "mark checkpoint",
        MarkKind::CheckpointFailed => "mark checkpoint-failed",
        MarkKind::Restore => "mark restore",
        MarkKind::TasksRestart => "mark tasks-restart",
        MarkKind::JobEnded => "mark job-ended",
        MarkKind::Write => "mark write",
        MarkKind::Refused => "mark refused",
        MarkKind::Delete => "mark delete",
        MarkKind::Commit => "mark commit",
    }
}

/// The path of a mark in a lane.
pub(super) fn shape(kind: MarkKind, x: f64, y: f64) -> String {
    let middle = y + LANE / 2.0;
    match kind {
        // Low in the lane: the name of the epoch stands above.
        MarkKind::Checkpoint => format!("M{:.1} {:.1}h1.4v6h-1.4z", x - 0.7, y + LANE - 10.0),
        MarkKind::Write | MarkKind::Commit => {
            format!("M{:.1} {:.1}h1.2v{}h-1.2z", x - 0.6, y + 8.0, LANE - 16.0)
        }
        MarkKind::CheckpointFailed | MarkKind::Refused | MarkKind::Delete => {
            format!("M{:.1} {:.1}h2v{}h-2z", x - 1.0, y + 4.0, LANE - 8.0)
        }
        MarkKind::Restore => format!("M{x:.1} {:.1}l-5 -8h10z", y + 10.0),
        MarkKind::TasksRestart => format!("M{x:.1} {:.1}l4 4l-4 4l-4 -4z", middle - 4.0),
        MarkKind::JobEnded => format!("M{:.1} {:.1}h8v8h-8z", x - 4.0, middle - 4.0),
    }
}

fn px(number: f64) -> String {
    format!("{number:.1}")
}
fn number(count: usize) -> f64 {
    count as f64
}
fn share(part: u64, whole: u64) -> f64 {
    part.min(whole) as f64 / whole.max(1) as f64
}
