//! What a job at work asks the API server for, taken apart into what keeps its leadership and what its checkpoints cost.

use std::collections::BTreeMap;
use std::time::Duration;

use super::audit::Audit;

const SECONDS_PER_HOUR: f64 = 3600.0;

/// The requests of one user in a window of steady work.
#[derive(Clone, Debug)]
pub struct Traffic {
    /// How long the window was.
    pub elapsed: Duration,
    /// How many checkpoints the job completed in it.
    pub checkpoints: usize,
    /// Requests that are made whether or not there are checkpoints, by verb and resource.
    pub leadership: BTreeMap<String, usize>,
    /// All others: there are as many of them as checkpoints ask for.
    pub checkpointing: BTreeMap<String, usize>,
}

impl Traffic {
    /// Sorts what `user` asked for. Leadership is kept in the object `leadership`; a watch that begins anew is nobody's
    /// checkpoint either.
    pub fn of(asked: &Audit, user: &str, leadership: &str, elapsed: Duration, checkpoints: usize) -> Self {
        let mut traffic =
            Self { elapsed, checkpoints, leadership: BTreeMap::new(), checkpointing: BTreeMap::new() };
        for request in asked.of(user) {
            let standing = request.name == leadership || request.verb == "watch";
            let counts = if standing { &mut traffic.leadership } else { &mut traffic.checkpointing };
            *counts.entry(format!("{} {}", request.verb, request.resource)).or_default() += 1;
        }
        traffic
    }

    /// All requests, as many an hour as there were in the window.
    pub fn per_hour(&self) -> f64 {
        self.leadership_per_hour() + self.hourly(sum(&self.checkpointing))
    }

    /// Those that keep the leadership.
    pub fn leadership_per_hour(&self) -> f64 {
        self.hourly(sum(&self.leadership))
    }

    /// Requests for one checkpoint.
    pub fn per_checkpoint(&self) -> f64 {
        sum(&self.checkpointing) as f64 / self.checkpoints as f64
    }

    /// What the same job would ask for with a checkpoint every `interval`: computed, not measured.
    pub fn computed_per_hour(&self, interval: Duration) -> f64 {
        self.leadership_per_hour() + self.per_checkpoint() * SECONDS_PER_HOUR / interval.as_secs_f64()
    }

    fn hourly(&self, requests: usize) -> f64 {
        requests as f64 * SECONDS_PER_HOUR / self.elapsed.as_secs_f64()
    }
}

fn sum(counts: &BTreeMap<String, usize>) -> usize {
    counts.values().sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kubernetes::audit::Request;

    fn request(verb: &str, name: &str) -> Request {
        Request {
            user: "flink".to_owned(),
            verb: verb.to_owned(),
            resource: "configmaps".to_owned(),
            namespace: "flink".to_owned(),
            name: name.to_owned(),
            code: 200,
        }
    }

    #[test]
    fn what_is_asked_for_a_checkpoint_grows_with_them_and_the_rest_does_not() {
        let mut requests =
            vec![request("watch", "job"), request("get", "leader"), request("update", "leader")];
        requests.extend((0..20).map(|_| request("update", "job")));
        requests.push(Request { user: "somebody".to_owned(), ..request("update", "job") });
        let asked = Audit::from(requests);
        let traffic = Traffic::of(&asked, "flink", "leader", Duration::from_secs(36), 10);
        assert_eq!(traffic.leadership_per_hour(), 300.0);
        assert_eq!(traffic.per_checkpoint(), 2.0);
        assert_eq!(traffic.per_hour(), 2300.0);
        assert_eq!(traffic.computed_per_hour(Duration::from_secs(60)), 420.0);
    }
}
