//! The figures as Markdown, to be read as they are and to be put into `docs/kubernetes.md`.

use std::collections::BTreeMap;
use std::time::Duration;

use harness::output;

use crate::failures::{Timings, Waiting};
use crate::requests::{Counted, Keeper, OUTAGE, Run};

/// Checkpoint intervals for which requests are computed from those that were measured with the shortest.
const COMPUTED: [Duration; 2] = [Duration::from_secs(10), Duration::from_secs(60)];

/// The middle one of several times, and how far they lie apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Spread {
    median: Duration,
    least: Duration,
    most: Duration,
}

/// What each job asked for, and what that comes to in an hour.
pub(crate) fn requests(counted: &Counted) {
    output::line(format!("\nFlink {}, one JobManager, one TaskManager\n", counted.flink_version));
    output::line("| | checkpoint every | window | checkpoints | for leadership | for checkpoints |");
    output::line("| --- | --- | --- | --- | --- | --- |");
    for run in &counted.runs {
        let traffic = &run.traffic;
        output::line(format!(
            "| {} | {} s | {:.1} s | {} | {} | {} |",
            run.keeper,
            run.interval.as_secs(),
            traffic.elapsed.as_secs_f64(),
            traffic.checkpoints,
            listed(&traffic.leadership),
            listed(&traffic.checkpointing),
        ));
    }
    output::line("\n| API requests of one job | Holdfast | Flink's Kubernetes HA |");
    output::line("| --- | ---: | ---: |");
    for (name, cells) in hourly(&counted.runs) {
        output::line(format!("| {name} | {} |", cells.join(" | ")));
    }
}

/// The rows of the second table: one cell for each keeper.
fn hourly(runs: &[Run]) -> Vec<(String, Vec<String>)> {
    let shortest =
        |keeper| runs.iter().filter(move |run| run.keeper == keeper).min_by_key(|run| run.interval);
    let bases: Vec<&Run> = [Keeper::Holdfast, Keeper::Flink].into_iter().filter_map(shortest).collect();
    let cells = |of: &dyn Fn(&Run) -> String| bases.iter().map(|run| of(run)).collect::<Vec<_>>();
    let mut rows = vec![
        ("for leadership, an hour".to_owned(), cells(&|run| thousands(run.traffic.leadership_per_hour()))),
        ("for each checkpoint".to_owned(), cells(&|run| format!("{:.1}", run.traffic.per_checkpoint()))),
    ];
    let mut intervals: Vec<Duration> = runs.iter().map(|run| run.interval).collect();
    intervals.sort();
    intervals.dedup();
    for interval in intervals {
        let of = |keeper| runs.iter().find(move |run| run.keeper == keeper && run.interval == interval);
        let found = [Keeper::Holdfast, Keeper::Flink].into_iter().filter_map(of);
        let name = format!("an hour, a checkpoint every {} s: measured", interval.as_secs());
        rows.push((name, found.map(|run| thousands(run.traffic.per_hour())).collect()));
    }
    for interval in COMPUTED {
        let name = format!("an hour, a checkpoint every {} s: computed", interval.as_secs());
        rows.push((name, cells(&|run| thousands(run.traffic.computed_per_hour(interval)))));
    }
    rows
}

/// How long each change of leadership took; with Flink also the outage.
pub(crate) fn failures(timings: &Timings, in_outage: Option<usize>) {
    output::line("\n| the leader's pod | then | n | median | least | most |");
    output::line("| --- | --- | ---: | ---: | ---: | ---: |");
    for (case, times) in &timings.cases {
        let Some(Spread { median, least, most }) = Spread::of(times) else { continue };
        let n = times.len();
        output::line(format!(
            "| {} | {} | {n} | {} | {} | {} |",
            case.name(),
            case.outcome(),
            seconds(median),
            seconds(least),
            seconds(most)
        ));
    }
    if let Some(checkpoints) = in_outage {
        output::line(format!(
            "\nAPI server and etcd killed for {} s under a real job: 0 restarts, the same epoch, {checkpoints} checkpoints \
             meanwhile.",
            OUTAGE.as_secs()
        ));
    }
    waiting(&timings.waiting);
}

fn waiting(waiting: &Waiting) {
    let hourly = |count: &usize| *count as f64 * 3600.0 / waiting.elapsed.as_secs_f64();
    let counts = waiting.counts.iter();
    let shown: Vec<String> =
        counts.map(|(request, count)| format!("{request} {}", thousands(hourly(count)))).collect();
    let seconds = waiting.elapsed.as_secs_f64();
    output::line(format!(
        "\nA leader and a second pod that waits, together, in an hour (from {seconds:.0} s): {}",
        shown.join(", ")
    ));
}

impl Spread {
    /// Nothing for no times.
    fn of(times: &[Duration]) -> Option<Self> {
        let mut sorted = times.to_vec();
        sorted.sort();
        let (least, most) = (*sorted.first()?, *sorted.last()?);
        let upper = sorted[sorted.len() / 2];
        let median = if sorted.len() % 2 == 1 { upper } else { (sorted[sorted.len() / 2 - 1] + upper) / 2 };
        Some(Self { median, least, most })
    }
}

fn seconds(time: Duration) -> String {
    format!("{:.2} s", time.as_secs_f64())
}

fn listed(counts: &BTreeMap<String, usize>) -> String {
    let shown: Vec<String> = counts.iter().map(|(request, count)| format!("{count} {request}")).collect();
    if shown.is_empty() { "none".to_owned() } else { shown.join(", ") }
}

/// `30240.4` → `30,240`.
fn thousands(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut grouped = String::new();
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        let seconds = |times: &[u64]| times.iter().copied().map(Duration::from_secs).collect::<Vec<_>>();
        assert_eq!(Spread::of(&[]), None);
        let odd = Spread::of(&seconds(&[9, 1, 2])).expect("times");
        assert_eq!([odd.least, odd.median, odd.most].to_vec(), seconds(&[1, 2, 9]));
        let even = Spread::of(&seconds(&[4, 2])).expect("times");
        assert_eq!(even.median, Duration::from_secs(3));
    }

    #[test]
    fn thousands_are_set_apart() {
        let shown: Vec<_> = [0.0, 999.6, 30_240.4, 1_234_567.0].into_iter().map(thousands).collect();
        assert_eq!(shown, ["0", "1,000", "30,240", "1,234,567"]);
    }
}
