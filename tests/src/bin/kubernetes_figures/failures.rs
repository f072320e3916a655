//! Each way in which a pod can fail, timed from its end to the next grant. No Flink: this program is the JobManagers.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures::future::try_join_all;
use harness::kubernetes::ApiServer;
use harness::kubernetes::candidate::DEFAULT;
use harness::kubernetes::contest::Contest;
use harness::kubernetes::deployment::{Deployment, LIMIT};
use harness::kubernetes::manifests::{ACCOUNT, rules};
use harness::output;
use tokio::time::{Instant, sleep};

/// How long the requests of a leader and of one that waits are counted.
const COUNTED: Duration = Duration::from_secs(60);

/// How a pod fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Case {
    Deleted,
    MadeAnew,
    Terminated,
    MayRun,
    Frozen,
    Stopped,
    Restarted,
}

/// What was measured.
#[derive(Debug)]
pub(crate) struct Timings {
    /// From the end to the next grant, each repetition of each case.
    pub(crate) cases: Vec<(Case, Vec<Duration>)>,
    /// What a leader and one that waits ask for together.
    pub(crate) waiting: Waiting,
}

/// Requests of a leader and of a second pod, which waits.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) elapsed: Duration,
    pub(crate) counts: BTreeMap<String, usize>,
}

/// Times every case so often, with the product's default timings and the rights that the manifests give.
pub(crate) async fn time(repetitions: u32) -> Result<Timings> {
    ensure!(repetitions > 0, "--repetitions 0 measures nothing");
    let dir = tempfile::Builder::new().prefix("holdfast-figures-").tempdir()?;
    let root = dir.path().to_owned();
    let outcome = time_in(&root, repetitions).await;
    if outcome.is_err() {
        output::line(format!("everything is kept in {}", dir.keep().display()));
    }
    outcome
}

async fn time_in(root: &Path, repetitions: u32) -> Result<Timings> {
    let server = ApiServer::start(root).await?;
    let mut cases = Vec::new();
    for case in Case::ALL {
        output::line(format!("timing: {}", case.name()));
        let each = (0..repetitions).map(|n| once(&server, root, case, n, repetitions));
        cases.push((case, try_join_all(each).await.context(case.name())?));
    }
    output::line("counting the requests of a pod that waits");
    let waiting = wait(&server, root).await?;
    Ok(Timings { cases, waiting })
}

/// One repetition, in a namespace of its own. They run at the same time.
async fn once(server: &ApiServer, root: &Path, case: Case, n: u32, of: u32) -> Result<Duration> {
    let deployment = deployment(server, root, &format!("{}-{n}", case.slug())).await?;
    let mut contest = Contest::new(deployment, DEFAULT).await?;
    // A pod fails at any moment between two looks at it, so the repetitions are spread over that time.
    sleep(DEFAULT.retry * n / of).await;
    case.time(&mut contest).await.with_context(|| format!("repetition {n}"))
}

async fn wait(server: &ApiServer, root: &Path) -> Result<Waiting> {
    let deployment = deployment(server, root, "waiting").await?;
    let user = deployment.namespace.user(ACCOUNT);
    let contest = Contest::new(deployment, DEFAULT).await?;
    let (before, began) = (server.audit()?, Instant::now());
    sleep(COUNTED).await;
    let (asked, elapsed) = (server.audit()?.since(&before), began.elapsed());
    contest.session()?.require_undisturbed(contest.epoch())?;
    Ok(Waiting { elapsed, counts: asked.counts(&user) })
}

async fn deployment(server: &ApiServer, root: &Path, name: &str) -> Result<Deployment> {
    let mut deployment = Deployment::create(server, root, name).await?;
    deployment.kubeconfig = deployment.namespace.service_account(ACCOUNT, &rules()?).await?;
    Ok(deployment)
}

impl Case {
    const ALL: [Self; 7] = [
        Self::Deleted,
        Self::MadeAnew,
        Self::Terminated,
        Self::MayRun,
        Self::Frozen,
        Self::Stopped,
        Self::Restarted,
    ];

    /// In words.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Deleted => "`kill -9`, and the pod's object is deleted",
            Self::MadeAnew => "`kill -9`, and another pod has its name",
            Self::Terminated => "`kill -9`, and all containers are reported as terminated",
            Self::MayRun => "`kill -9`, and the pod's object says that it runs",
            Self::Frozen => "the pod stands still (SIGSTOP)",
            Self::Stopped => "orderly stop (SIGTERM), the JobManager first",
            Self::Restarted => "only the sidecar: `kill -9` and a restart in its pod",
        }
    }

    /// What happens then.
    pub(crate) fn outcome(self) -> &'static str {
        match self {
            Self::Deleted | Self::MadeAnew | Self::Terminated => "taken on evidence",
            Self::MayRun | Self::Frozen => "taken when the Lease is over",
            Self::Stopped => "released, then taken",
            Self::Restarted => "the same JobManager goes on under the same epoch",
        }
    }

    fn slug(self) -> &'static str {
        match self {
            Self::Deleted => "deleted",
            Self::MadeAnew => "made-anew",
            Self::Terminated => "terminated",
            Self::MayRun => "may-run",
            Self::Frozen => "frozen",
            Self::Stopped => "stopped",
            Self::Restarted => "restarted",
        }
    }

    async fn time(self, contest: &mut Contest) -> Result<Duration> {
        match self {
            Self::Frozen => contest.freeze()?,
            Self::Stopped => contest.stop().await?,
            _ => contest.kill()?,
        }
        let namespace = &contest.deployment.namespace;
        match self {
            Self::Deleted => namespace.delete_pod("pod-1").await?,
            Self::MadeAnew => {
                namespace.delete_pod("pod-1").await?;
                namespace.run_pod("pod-1").await?;
            }
            Self::Terminated => namespace.terminate_pod("pod-1").await?,
            Self::MayRun | Self::Frozen | Self::Stopped => {}
            Self::Restarted => return restart(contest).await,
        }
        let took = contest.taken_over().await?;
        if self == Self::Frozen {
            contest.thaw()?;
            contest.leader.wait_until_standing("others", LIMIT).await?;
        }
        Ok(took)
    }
}

/// The JobManager lives on, and nobody else may have been granted anything.
async fn restart(contest: &mut Contest) -> Result<Duration> {
    contest.start_again().await?;
    let took = contest.resumed().await?;
    contest.leader.wait_until_standing("ours", LIMIT).await?;
    contest.session()?.require_undisturbed(contest.epoch())?;
    ensure!(contest.next.1.epoch().is_err(), "the other pod was granted leadership");
    Ok(took)
}
