//! Numbers, times, faults and events in words.

use crate::plan::{Chosen, Fault, Harm, PodChoice, Point, Process, Restore, What, When, Which};
use crate::trace::{AddAnswer, Entry, Event, SavepointEnd, SavepointWord, Told, Wish};

/// `1,234,567`
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `n fault` or `n faults`
pub fn counted(number: u64, one: &str) -> String {
    format!("{} {one}{}", thousands(number), if number == 1 { "" } else { "s" })
}

/// `41.2 M`, for numbers that nobody reads to the last digit.
pub fn about(number: u64) -> String {
    let float = number as f64;
    match number {
        0..100_000 => thousands(number),
        100_000..1_000_000_000 => format!("{:.1} M", float / 1e6),
        _ => format!("{:.1} G", float / 1e9),
    }
}

/// `850 ms`, `12.3 s`, `4 min 10 s`, `5 h 33 min`
pub fn time(ms: u64) -> String {
    let seconds = ms / 1_000;
    match seconds {
        0 => format!("{ms} ms"),
        1..120 if ms.is_multiple_of(1_000) => format!("{seconds} s"),
        1..120 => format!("{seconds}.{} s", ms % 1_000 / 100),
        120..7_200 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", thousands(seconds / 3_600), seconds / 60 % 60),
    }
}

/// `  12.345`: seconds in a column.
pub fn clock(ms: u64) -> String {
    format!("{:>4}.{:03}", ms / 1_000, ms % 1_000)
}

/// `in 5 %`
fn share(permille: u64) -> String {
    match permille {
        1_000 => String::new(),
        _ if permille.is_multiple_of(10) => format!(" ({} %)", permille / 10),
        _ => format!(" ({}.{} %)", permille / 10, permille % 10),
    }
}

/// When it begins, what it is and how long it lasts, on one line.
pub fn fault(fault: &Fault) -> String {
    let lasts = if fault.for_ms > 0 { format!(", for {}", time(fault.for_ms)) } else { String::new() };
    format!("{}: {}{lasts}", when(&fault.when), what(&fault.what))
}

/// `at 12.3 s`, `at the 3rd create's answer`
pub fn when(when: &When) -> String {
    match when {
        When::AtMs(at_ms) => format!("at {}", time(*at_ms)),
        When::On { point, nth } => {
            let place = match point {
                Point::BeforeCreate => "before a record is created",
                Point::BeforeCreateAnswer => "before a create is answered",
                Point::BeforeDelete => "before something is deleted",
                Point::BeforeLeaseAnswer => "before a Lease write is answered",
                Point::Granted => "when leadership is granted",
                Point::BeforeAdd => "before a checkpoint is recorded",
                Point::BeforeNotify => "before the sinks are told of a checkpoint",
                Point::CheckpointCompleted => "when a checkpoint is complete",
                Point::SavepointCompleted => "when a savepoint is complete",
                Point::BeforeResult => "before the job's result is recorded",
                Point::JobRestarting => "when the tasks restart",
            };
            format!("{place} (no. {nth})")
        }
    }
}

fn of(pod: &PodChoice) -> &'static str {
    match pod {
        PodChoice::Leader => "of the leader",
        PodChoice::Other => "of the pod that does not lead",
    }
}

fn pod_of(pod: &PodChoice) -> &'static str {
    match pod {
        PodChoice::Leader => "the leader's pod",
        PodChoice::Other => "the pod that does not lead",
    }
}

fn process(process: &Process) -> &'static str {
    match process {
        Process::Sidecar => "the sidecar",
        Process::JobManager => "the JobManager",
        Process::TaskManagers => "the TaskManagers",
    }
}

fn upgrade(restore: Restore, claims: bool, previous: bool) -> String {
    let from = match restore {
        Restore::LatestState => "",
        Restore::LatestSavepoint => " from the latest savepoint",
        Restore::None => " from nothing",
        Restore::Oldest => " from the oldest snapshot",
    };
    let claims = if claims { ", claiming it" } else { "" };
    let previous = if previous { ", or from the one before if it is broken" } else { "" };
    format!("the user upgrades{from}{claims}{previous}: a new Kubernetes Job")
}

fn harm(which: Which, how: Harm) -> String {
    let which = if which == Which::Savepoint { "savepoint" } else { "snapshot" };
    match how {
        Harm::Dispose => format!("somebody deletes the newest {which}"),
        Harm::DeleteFile => format!("a file of the newest {which} is deleted"),
        Harm::TruncateFile => format!("a file of the newest {which} is cut off"),
        Harm::DeleteMetadata => format!("the _metadata of the newest {which} is deleted"),
        Harm::TruncateMetadata => format!("the _metadata of the newest {which} is cut off"),
    }
}

/// What a fault is, in words.
pub fn what(what: &What) -> String {
    match what {
        What::Kill { pod, process: killed } => format!("kill {} {}", process(killed), of(pod)),
        What::KillPod { pod } => format!("kill everything in {}", pod_of(pod)),
        What::DeletePod { pod, force: false } => format!("delete {}", pod_of(pod)),
        What::DeletePod { pod, force: true } => format!("delete {}, with no grace", pod_of(pod)),
        What::PartitionNode { pod, reaches_store: false } => format!("cut the node of {} off", pod_of(pod)),
        What::PartitionNode { pod, reaches_store: true } => {
            format!("cut the node of {} off from everything but the store", pod_of(pod))
        }
        What::Pause { pod, process: None } => format!("pause {}", pod_of(pod)),
        What::Pause { pod, process: Some(paused) } => format!("pause {} {}", process(paused), of(pod)),
        What::ClockJump { pod, by_ms } => {
            let back = if *by_ms < 0 { "back" } else { "forwards" };
            format!("the clock of {} jumps {back} by {}", pod_of(pod), time(by_ms.unsigned_abs()))
        }
        What::StoreSlow { by_ms } => format!("the store takes {} longer", time(*by_ms)),
        What::StoreRefuses { status, permille } => format!("the store answers {status}{}", share(*permille)),
        What::StoreLosesAnswers { permille } => format!("answers of the store are lost{}", share(*permille)),
        What::StoreLosesRequests { permille } => {
            format!("requests to the store are lost{}", share(*permille))
        }
        What::StoreDelaysWrites { by_ms, permille } => {
            format!("writes arrive at the store {} late{}", time(*by_ms), share(*permille))
        }
        What::StoreAppliesAndFails { permille } => {
            format!("the store applies a request and answers 5xx{}", share(*permille))
        }
        What::ApiSilent => "the API server answers nothing".to_owned(),
        What::ApiDown => "the API server refuses connections".to_owned(),
        What::ApiRefuses { status, permille, retry_after_s } => {
            let after =
                if *retry_after_s > 0 { format!(", Retry-After {retry_after_s} s") } else { String::new() };
            format!("the API server answers {status}{after}{}", share(*permille))
        }
        What::ApiLosesAnswers { permille } => {
            format!("the API server's answers to writes are lost{}", share(*permille))
        }
        What::ApiAppliesAndFails { permille } => {
            format!("the API server applies a write and answers 504{}", share(*permille))
        }
        What::ApiGarbage { permille } => format!("the API server answers garbage{}", share(*permille)),
        What::ApiStale { by_ms } => format!("reads of the API server are {} old", time(*by_ms)),
        What::ApiSlow { by_ms } => format!("the API server takes {} longer", time(*by_ms)),
        What::DeleteLease => "somebody deletes the Lease".to_owned(),
        What::FailTask => "a task fails".to_owned(),
        What::StallCheckpoints => "no checkpoint completes".to_owned(),
        What::FailCheckpointFiles => "checkpoint files cannot be written".to_owned(),
        What::SlowCheckpointFiles { by_ms } => format!("checkpoint files take {} longer", time(*by_ms)),
        What::Cancel => "the user cancels the job".to_owned(),
        What::Savepoint => "the user triggers a savepoint".to_owned(),
        What::StopWithSavepoint => "the user stops the job with a savepoint".to_owned(),
        What::Upgrade { restore, claims, previous, mends } => {
            let mended = if *mends { ", with its code mended" } else { "" };
            format!("{}{mended}", upgrade(*restore, *claims, *previous))
        }
        What::Reset { to } => format!("the user resets the deployment to {}", chosen(*to)),
        What::Pin { which } => format!("the user pins {}", chosen(*which)),
        What::Unpin { which } => format!("the user lets {} go that is pinned", chosen(*which)),
        What::HoldfastSavepoint { stop: false } => "the user asks the sidecar for a savepoint".to_owned(),
        What::HoldfastSavepoint { stop: true } => {
            "the user asks the sidecar to stop the job with a savepoint".to_owned()
        }
        What::HarmSnapshot { which, how } => harm(*which, *how),
        What::FailMain => "main() fails".to_owned(),
        What::SlowMain { by_ms } => format!("main() takes {} longer", time(*by_ms)),
        What::ChangeCode => "the user changes the code under the same Kubernetes Job".to_owned(),
        What::Suspend => "the user suspends the Kubernetes Job".to_owned(),
        What::DeleteJob => "the user deletes the Kubernetes Job, and makes it again afterwards".to_owned(),
    }
}

fn chosen(chosen: Chosen) -> &'static str {
    match chosen {
        Chosen::Oldest => "the oldest snapshot",
        Chosen::Newest => "the newest snapshot",
        Chosen::Any => "a snapshot",
    }
}

fn wish(wish: &Wish) -> String {
    match wish {
        Wish::Reset { id, .. } => format!("reset the deployment to snapshot {id}"),
        Wish::Pin { id } => format!("pin snapshot {id}"),
        Wish::Unpin { id } => format!("unpin snapshot {id}"),
    }
}

fn savepoint_told(word: &SavepointWord) -> String {
    let SavepointWord { trigger, stop, end, recorded, id, .. } = word;
    let id = id.map_or(String::new(), |id| format!(" {id}"));
    let trigger = if *stop { format!("{trigger}, with which the job was to end,") } else { trigger.clone() };
    let (end, recorded) = match end {
        SavepointEnd::Completed => ("is complete", if *recorded { " and recorded" } else { "" }),
        SavepointEnd::Failed => ("has failed", ""),
        SavepointEnd::Unknown => ("may be there or not", ""),
    };
    format!("is told that savepoint{id} of {trigger} {end}{recorded}")
}

/// One event, on one line.
pub fn entry(entry: &Entry) -> String {
    format!("{}  {:<16} {}", clock(entry.at_ms), entry.actor, event(&entry.event))
}

/// What happened. Bodies are shown by their length: whoever wants the bytes replays.
pub fn event(event: &Event) -> String {
    let bytes = |body: &bytes::Bytes| counted(body.len() as u64, "byte");
    match event {
        Event::StoreCreated { key, body } => format!("created {key} ({})", bytes(body)),
        Event::StoreRefused { key } => format!("refused to create {key}: it exists"),
        Event::StoreOverwritten { key, body } => format!("overwrote {key} ({})", bytes(body)),
        Event::StoreDeleted { key } => format!("deleted {key}"),
        Event::LeaseWritten { lease, version, named, holder, created } => {
            lease_written(lease, *version, *named, holder, *created)
        }
        Event::LeaseDeleted { lease } => format!("deleted Lease {lease}"),
        Event::KubernetesEvent { reason, note } => format!("Kubernetes Event {reason}: {note}"),
        Event::PodCreated { pod, generation, .. } => format!("pod {pod} was made, generation {generation}"),
        Event::PodDeleted { pod, .. } => format!("pod {pod} is gone"),
        Event::ProcessStarted { kind } => format!("{kind} starts"),
        Event::ProcessEnded { kind, code } => format!("{kind} ends with {code}"),
        Event::ProcessKilled { kind } => format!("{kind} is killed"),
        Event::ProcessPaused => "stands still".to_owned(),
        Event::ProcessWoken => "goes on".to_owned(),
        Event::Granted { epoch, resumed: false } => format!("leads, epoch {epoch}"),
        Event::Granted { epoch, resumed: true } => format!("goes on leading, epoch {epoch}"),
        Event::Revoked { epoch, reason } => format!("leads no more, epoch {epoch}: {reason}"),
        Event::AddAsked { id, epoch, .. } => format!("asks to record checkpoint {id}, epoch {epoch}"),
        Event::AddAnswered { id, answer, .. } => match answer {
            AddAnswer::Recorded => format!("checkpoint {id} is recorded"),
            AddAnswer::NotRecorded { problem } => format!("checkpoint {id} is not recorded: {problem}"),
            AddAnswer::Unknown => format!("nobody can say whether checkpoint {id} is recorded"),
        },
        Event::JobRestored { from, failover, .. } => job_restored(*from, *failover),
        Event::JobRunning { .. } => "all tasks run".to_owned(),
        Event::JobRestarting { cause, .. } => format!("the tasks restart: {cause}"),
        Event::JobEnded { status, .. } => format!("the job is {}", status.as_str()),
        Event::RolledOut { generation, .. } => format!("the user rolls generation {generation} out"),
        Event::Wished { what, .. } => format!("asks the sidecar to {}", wish(what)),
        Event::WishAnswered { what, told, .. } => match told {
            Told::Done => format!("is told that this was done: {}", wish(what)),
            Told::Refused { problem } => format!("is refused to {}: {problem}", wish(what)),
            Told::Unknown => format!("cannot know whether this was done: {}", wish(what)),
        },
        Event::SavepointTold(word) => savepoint_told(word),
        Event::SnapshotHarmed { id, .. } => format!("harmed snapshot {id}"),
        Event::MainRan { generation } => format!("main() of generation {generation} made a graph"),
        Event::GraphUsed { generation, code, .. } => {
            format!("runs the graph of {code}, generation {generation}")
        }
        Event::StartedFrom { id, claimed: true, .. } => {
            format!("starts the job from snapshot {id}, and claims it")
        }
        Event::StartedFrom { id, claimed: false, .. } => format!("starts the job from snapshot {id}"),
        Event::CheckpointWritten { id, .. } => format!("the files of checkpoint {id} are complete"),
        Event::CheckpointCompleted { id, .. } => format!("checkpoint {id} is complete"),
        Event::SavepointCompleted { id, stops: false, .. } => format!("savepoint {id} is complete"),
        Event::SavepointCompleted { id, stops: true, .. } => {
            format!("savepoint {id} is complete, with which the job ends")
        }
        Event::SavepointServed { trigger, id } => format!("savepoint {id} is the one of {trigger}"),
        Event::CheckpointFailed { id, cause, .. } => format!("checkpoint {id} failed: {cause}"),
        Event::CheckpointFilesDeleted { id, .. } => format!("deleted the files of checkpoint {id}"),
        Event::SinkCommitted { partition, from, to, checkpoint, .. } => {
            format!("partition {partition} committed {from}..{to} for checkpoint {checkpoint}")
        }
        Event::FaultBegins { fault } => format!("fault {} begins", fault + 1),
        Event::FaultEnds { fault } => format!("fault {} ends", fault + 1),
        Event::Healed => "everything is mended".to_owned(),
        Event::Reached(what) => format!("reached: {what}"),
    }
}

fn lease_written(lease: &str, version: u64, named: Option<u64>, holder: &str, created: bool) -> String {
    let how = match (created, named) {
        (true, _) => "created".to_owned(),
        (false, Some(named)) => format!("updated version {named} of"),
        (false, None) => "overwrote".to_owned(),
    };
    let holder = if holder.is_empty() { "nobody" } else { holder };
    format!("{how} Lease {lease}: version {version}, held by {holder}")
}

fn job_restored(from: Option<u64>, failover: bool) -> String {
    let who = if failover { "a new JobManager" } else { "the JobManager" };
    match from {
        Some(id) => format!("{who} restores the job from checkpoint {id}"),
        None => format!("{who} starts the job empty"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_times_are_written_as_people_read_them() {
        assert_eq!(thousands(1_234_567), "1,234,567");
        assert_eq!(thousands(12), "12");
        assert_eq!(about(41_212_000), "41.2 M");
        assert_eq!(counted(1, "fault"), "1 fault");
        assert_eq!(counted(0, "fault"), "0 faults");
        for (ms, text) in [
            (850, "850 ms"),
            (12_345, "12.3 s"),
            (30_000, "30 s"),
            (250_000, "4 min 10 s"),
            (20_000_000, "5 h 33 min"),
        ] {
            assert_eq!(time(ms), text);
        }
    }

    #[test]
    fn a_fault_says_when_what_and_how_long() {
        let pause = What::Pause { pod: PodChoice::Other, process: Some(Process::Sidecar) };
        let fault = super::fault(&Fault { when: When::AtMs(12_300), what: pause, for_ms: 5_000 });
        assert_eq!(fault, "at 12.3 s: pause the sidecar of the pod that does not lead, for 5 s");

        let lost = What::StoreLosesAnswers { permille: 25 };
        let when = When::On { point: Point::BeforeCreateAnswer, nth: 3 };
        let fault = super::fault(&Fault { when, what: lost, for_ms: 1_500 });
        assert_eq!(
            fault,
            "before a create is answered (no. 3): answers of the store are lost (2.5 %), for 1.5 s"
        );
    }
}
