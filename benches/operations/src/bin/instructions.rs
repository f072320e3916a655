//! `make instructions`: has any operation come to take more instructions than the committed baseline says?
//!
//! Seconds differ from machine to machine and from minute to minute; instructions under callgrind hardly differ at all. Exits
//! with 1 when an operation got worse by more than the tolerance, or when baseline and program do not have the same operations;
//! counts of another compiler, valgrind or C library are shown, and decide nothing.

#![allow(clippy::print_stdout, reason = "printing is what it is for")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use futures::{StreamExt, TryStreamExt, stream};
use operations::baseline::{Baseline, Toolchain, Verdict, compare};
use operations::{COUNTED, Operation, callgrind};

/// Counts the instructions of each operation, and compares them with the baseline
#[derive(Debug, Parser)]
struct Args {
    /// What was counted before
    #[arg(long, value_name = "FILE", default_value = "benches/instructions.json")]
    baseline: PathBuf,

    /// How much more an operation may take, in percent
    #[arg(long, value_name = "PERCENT", default_value_t = TOLERANCE_PERCENT)]
    tolerance: f64,

    /// Write the baseline anew instead of comparing with it
    #[arg(long)]
    write: bool,

    /// Only run this operation, to be counted from the outside
    #[arg(long, value_name = "NAME", hide = true)]
    run: Option<String>,
}

/// Repeated runs differ by less than a hundredth of this; the rest is room for how the compiler divides and inlines code
/// when something beside the operation changes.
const TOLERANCE_PERCENT: f64 = 3.0;

const RENEW: &str = "if that is meant, renew it with `make instructions-baseline` and say why in the commit";

fn main() -> anyhow::Result<ExitCode> {
    let args = Args::parse();
    if let Some(name) = &args.run {
        let operation = COUNTED.iter().find(|operation| operation.name == name);
        callgrind::run(operation.with_context(|| format!("there is no operation {name:?}"))?);
        return Ok(ExitCode::SUCCESS);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let now = runtime.block_on(count_all())?;
    if args.write {
        let text = serde_json::to_string_pretty(&now)? + "\n";
        fs::write(&args.baseline, text)
            .with_context(|| format!("cannot write {}", args.baseline.display()))?;
        println!("{} operations counted, written to {}", now.instructions.len(), args.baseline.display());
        return Ok(ExitCode::SUCCESS);
    }
    Ok(judge(&read(&args.baseline)?, &now, args.tolerance))
}

async fn count_all() -> anyhow::Result<Baseline> {
    let program = std::env::current_exe()?;
    let at_once = std::thread::available_parallelism().map_or(1, usize::from);
    let counts = COUNTED.iter().map(|operation| count(&program, operation));
    let instructions: BTreeMap<String, u64> =
        stream::iter(counts).buffer_unordered(at_once).try_collect().await?;
    Ok(Baseline { counted_with: callgrind::toolchain().await?, instructions })
}

async fn count(program: &Path, operation: &Operation) -> anyhow::Result<(String, u64)> {
    let counted = callgrind::count(program, &["--run".into(), operation.name.into()]).await;
    Ok((operation.name.to_owned(), counted.with_context(|| format!("cannot count {}", operation.name))?))
}

fn read(baseline: &Path) -> anyhow::Result<Baseline> {
    let shown = baseline.display();
    let text = fs::read(baseline)
        .with_context(|| format!("cannot read {shown}; `make instructions-baseline` writes it"))?;
    serde_json::from_slice(&text).with_context(|| format!("{shown} is not a baseline"))
}

/// Prints every operation with its change, and what follows.
fn judge(before: &Baseline, now: &Baseline, tolerance_percent: f64) -> ExitCode {
    println!("{:<30} {:>12} {:>12} {:>10}", "instructions", "baseline", "now", "change");
    let compared = compare(&before.instructions, &now.instructions, tolerance_percent);
    compared.iter().for_each(|operation| println!("{operation}"));
    let named = |verdicts: &[Verdict]| {
        let names =
            compared.iter().filter(|one| verdicts.contains(&one.verdict)).map(|one| one.name.as_str());
        names.collect::<Vec<_>>().join(", ")
    };
    let (worse, better) = (named(&[Verdict::Worse]), named(&[Verdict::Better]));
    let unmatched = named(&[Verdict::New, Verdict::Gone]);
    if !unmatched.is_empty() {
        println!("not in both the baseline and this program: {unmatched}; {RENEW}");
        return ExitCode::FAILURE;
    }
    if before.counted_with != now.counted_with {
        println!("{}", other_toolchain(&before.counted_with, &now.counted_with));
        return ExitCode::SUCCESS;
    }
    if !worse.is_empty() {
        println!("more than {tolerance_percent} % worse than the baseline: {worse}; {RENEW}");
        return ExitCode::FAILURE;
    }
    if !better.is_empty() {
        println!(
            "more than {tolerance_percent} % better: {better}; renew the baseline, so that it stays that way"
        );
        return ExitCode::SUCCESS;
    }
    println!("all within {tolerance_percent} % of the baseline");
    ExitCode::SUCCESS
}

fn other_toolchain(before: &Toolchain, now: &Toolchain) -> String {
    let differences = [
        (&before.rustc, &now.rustc),
        (&before.valgrind, &now.valgrind),
        (&before.libc, &now.libc),
        (&before.processor, &now.processor),
    ];
    let differences = differences.into_iter().filter(|(before, now)| before != now);
    let differences: Vec<_> = differences.map(|(before, now)| format!("{before:?}, now {now:?}")).collect();
    format!(
        "NOTHING WAS DECIDED: the baseline was counted with {}; renew it with `make instructions-baseline` on the commit \
         before this change, to compare",
        differences.join("; ")
    )
}
