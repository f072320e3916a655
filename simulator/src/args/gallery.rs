//! `holdfast-sim gallery`

use clap::Args;

use super::print;
use crate::gallery::{self, Tried};

/// What is said on the command line.
#[derive(Debug, Args)]
pub(super) struct GalleryArgs {
    /// How many at once [default: the number of processors]
    #[arg(long, value_name = "J", value_parser = clap::value_parser!(u16).range(1..=1024))]
    jobs: Option<u16>,
}

impl GalleryArgs {
    /// True: every defect was caught within its budget, and the product without it held.
    pub(super) fn run(self) -> anyhow::Result<bool> {
        let cpus = std::thread::available_parallelism().map_or(1, usize::from);
        let (mut good, mut bad, mut printed) = (0, 0, Ok(()));
        gallery::try_all(self.jobs.map_or(cpus, usize::from), &mut |tried| {
            *if tried.is_good() { &mut good } else { &mut bad } += 1;
            let result = print(&line(&tried));
            if printed.is_ok() {
                printed = result;
            }
        });
        printed?;
        print(&format!("{good} of {} defects caught, and the product without them held\n", good + bad))?;
        Ok(bad == 0)
    }
}

fn line(tried: &Tried) -> String {
    let defect = &tried.defect;
    let budget = defect.budget_seeds;
    let caught = match &tried.caught {
        Ok(caught) if defect.properties.contains(&caught.violation.property) => {
            format!("caught   seed {} of {budget} by {}", caught.seed, caught.violation.property)
        }
        Ok(caught) => format!("MISTAKEN seed {} by {}", caught.seed, caught.violation.property),
        Err(escaped) => format!("ESCAPED  {escaped}"),
    };
    let mut line = format!("{:<28} {caught:<48} {}\n", defect.name, defect.incident);
    if let Ok(caught) = &tried.untouched {
        let (seed, violation) = (caught.seed, &caught.violation);
        line.push_str(&format!(
            "    WITHOUT IT, seed {seed} at {} ms, {}: {}\n",
            violation.at_ms, violation.property, violation.what
        ));
    }
    line
}
