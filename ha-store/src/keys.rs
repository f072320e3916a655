//! Where everything lies: the one place that knows the layout.

use crate::{BlobRef, DeploymentName, Nonce, Sequence};
use object_store::path::Path;

/// The keys of one deployment, all below `<prefix>/<deployment>/`.
///
/// | key | what | written |
/// | --- | --- | --- |
/// | `log/<20 digits>.json` | a record | once, create-only |
/// | `blob/<hash>.<copy>` | a payload that is too large for a record | once, create-only |
/// | `probe/<nonce>/…` | what preflight tries out | and deleted |
/// | `hint` | the newest sequence at some time | overwritten, never trusted |
#[derive(Debug, Clone)]
pub(crate) struct Keys {
    root: Path,
}

impl Keys {
    pub(crate) fn new(prefix: &Path, deployment: &DeploymentName) -> Self {
        Self { root: prefix.clone().join(deployment.as_str()) }
    }

    pub(crate) fn log(&self) -> Path {
        self.root.clone().join("log")
    }

    /// Twenty digits hold every `u64`, so that the order of keys is the order of records.
    pub(crate) fn record(&self, sequence: Sequence) -> Path {
        self.log().join(format!("{:020}.json", sequence.get()))
    }

    /// The sequence of a record's key; `None` for an object that is not a record.
    pub(crate) fn sequence_of(&self, key: &Path) -> Option<Sequence> {
        let digits = key.filename()?.strip_suffix(".json")?;
        let sequence = Sequence::new(digits.parse().ok()?);
        (self.record(sequence) == *key && sequence.get() > 0).then_some(sequence)
    }

    pub(crate) fn blobs(&self) -> Path {
        self.root.clone().join("blob")
    }

    pub(crate) fn blob(&self, blob: &BlobRef) -> Path {
        self.blobs().join(format!("{}.{}", blob.hash, blob.copy))
    }

    pub(crate) fn probe(&self, round: &Nonce) -> Path {
        self.root.clone().join("probe").join(round.as_str())
    }

    pub(crate) fn hint(&self) -> Path {
        self.root.clone().join("hint")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys() -> Keys {
        Keys::new(&Path::from("flink/ha"), &DeploymentName::try_from("orders").unwrap())
    }

    #[test]
    fn keys_sort_like_sequences() {
        let key = |n| keys().record(Sequence::new(n));
        assert_eq!(key(7).as_ref(), "flink/ha/orders/log/00000000000000000007.json");
        assert!(key(9) < key(10));
        assert!(key(u64::MAX - 1) < key(u64::MAX));
    }

    #[test]
    fn only_a_records_own_key_is_taken_for_a_record() {
        let keys = keys();
        assert_eq!(keys.sequence_of(&keys.record(Sequence::new(42))), Some(Sequence::new(42)));
        for foreign in ["log/42.json", "log/00000000000000000042.json.tmp", "log/00000000000000000000.json"] {
            assert_eq!(
                keys.sequence_of(&Path::from(format!("flink/ha/orders/{foreign}"))),
                None,
                "{foreign}"
            );
        }
        assert_eq!(keys.sequence_of(&Path::from("flink/ha/other/log/00000000000000000042.json")), None);
    }
}
