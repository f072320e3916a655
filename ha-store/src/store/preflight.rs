//! Finds out, before anything depends on it, whether a store can carry a fenced log.
//!
//! Some stores accept a create over an existing object: gateways that drop the `If-None-Match` header, emulators
//! that check and then write without a lock. On them two leaders would both believe that they wrote the same
//! record. There is no way to run safely there, so the start is refused with an explanation.

use super::Store;
use crate::judge::CreateAnswer;
use crate::keys::Keys;
use crate::objects::{Objects, Read};
use crate::{DeploymentName, Entropy, Nonce, StoreError};
use bytes::Bytes;
use futures::future::join_all;
use object_store::{ObjectStore, path::Path};
use std::{sync::Arc, time::Duration};

/// Races are run this often, each among this many writers.
const RACES: usize = 5;
const RACERS: usize = 8;

/// A trial that was disturbed (a time-out) is repeated with a fresh key.
const TRIALS_MAX: usize = 3;

const WAY_OUT: &str = "use a store that honours create-if-absent (`If-None-Match: *` on S3, \
     `ifGenerationMatch=0` on GCS): Amazon S3, Google Cloud Storage, Azure Blob Storage, current MinIO or Ceph, \
     or a directory on a file system with hard links; or remove the gateway that drops the header";

/// One run of preflight.
struct Trial<'a> {
    objects: Objects,
    folder: Path,
    shown_as: &'a str,
}

/// Why a trial has no result.
enum Failed {
    /// The store is not fit.
    Unfit(String),
    /// Something got in between; try again.
    Disturbed(String),
}

impl Store {
    /// Tries out, below `<prefix>/<deployment>/probe/`, what the log relies on, and cleans up: a create over an
    /// existing object fails and leaves it alone, a listing shows what was just written, and among concurrent
    /// creates of one key exactly one wins, which is the one whose bytes are stored.
    ///
    /// `shown_as` names the store in errors: its URL.
    ///
    /// # Errors
    /// [`StoreError::Unfit`] when the store lies, or does not allow it; [`StoreError::Unavailable`] when it does
    /// not answer.
    pub async fn preflight(
        backend: &Arc<dyn ObjectStore>,
        prefix: &Path,
        deployment: &DeploymentName,
        entropy: &dyn Entropy,
        shown_as: &str,
        call_timeout: Duration,
    ) -> Result<(), StoreError> {
        let keys = Keys::new(prefix, deployment);
        let objects = Objects::new(backend.clone(), call_timeout);
        let mut disturbed = String::new();
        for _ in 0..TRIALS_MAX {
            let folder = keys.probe(&Nonce::random(entropy));
            let trial = Trial { objects: objects.clone(), folder, shown_as };
            let result = trial.run().await;
            trial.clean_up().await;
            match result {
                Ok(()) => return Ok(()),
                Err(Failed::Unfit(reason)) => {
                    return Err(StoreError::Unfit { store: shown_as.to_owned(), reason });
                }
                Err(Failed::Disturbed(reason)) => disturbed = reason,
            }
        }
        let what = format!("trying out {shown_as}");
        Err(StoreError::Unavailable { what, reason: disturbed })
    }
}

impl Trial<'_> {
    async fn run(&self) -> Result<(), Failed> {
        self.create_twice().await?;
        for round in 0..RACES {
            self.race(round).await?;
        }
        Ok(())
    }

    async fn create_twice(&self) -> Result<(), Failed> {
        let key = self.folder.clone().join("create");
        match self.create(&key, "first").await? {
            CreateAnswer::Created => {}
            answer => return Err(Failed::Disturbed(format!("the first create of {key}: {answer:?}"))),
        }
        match self.create(&key, "second").await? {
            CreateAnswer::Exists => {}
            CreateAnswer::Created => {
                return Err(Failed::Unfit(format!(
                    "it accepted a second create of {key}, so it cannot tell two leaders apart; {WAY_OUT}"
                )));
            }
            answer => return Err(Failed::Disturbed(format!("the second create of {key}: {answer:?}"))),
        }
        let stored = self.read(&key).await?;
        if stored != "first" {
            return Err(Failed::Unfit(format!(
                "it refused a second create of {key}, but stored its bytes all the same; {WAY_OUT}"
            )));
        }
        let listed = self.objects.list(&self.folder, None).await.map_err(Failed::Disturbed)?;
        if !listed.iter().any(|meta| meta.location == key) {
            return Err(Failed::Unfit(format!(
                "its listing does not show {key}, which was just created; a leader would miss the newest record. \
                 Use a store whose listings are strongly consistent"
            )));
        }
        Ok(())
    }

    async fn race(&self, round: usize) -> Result<(), Failed> {
        let key = self.folder.clone().join(format!("race-{round}"));
        let bodies: Vec<String> = (0..RACERS).map(|racer| format!("racer {racer}")).collect();
        let answers = join_all(bodies.iter().map(|body| self.create(&key, body))).await;
        let answers = answers.into_iter().collect::<Result<Vec<_>, Failed>>()?;
        let winners: Vec<&String> = answers
            .iter()
            .zip(&bodies)
            .filter(|(answer, _)| **answer == CreateAnswer::Created)
            .map(|(_, body)| body)
            .collect();
        match winners.as_slice() {
            [winner] => match self.read(&key).await? {
                stored if stored == **winner => Ok(()),
                stored => Err(Failed::Unfit(format!(
                    "{winner} won a race for {key}, but {stored:?} is what it stored; {WAY_OUT}"
                ))),
            },
            // All of them were told 409 ("another one is under way"): allowed, and no result.
            [] => Err(Failed::Disturbed(format!("nobody won a race for {key}"))),
            winners => Err(Failed::Unfit(format!(
                "{} of {RACERS} concurrent creates of {key} succeeded, so its check and its write are not one \
                 step; {WAY_OUT}",
                winners.len()
            ))),
        }
    }

    async fn create(&self, key: &Path, body: &str) -> Result<CreateAnswer, Failed> {
        match self.objects.create(key, Bytes::from(body.to_owned())).await {
            (CreateAnswer::Unclear, reason) => Err(Failed::Disturbed(reason)),
            (CreateAnswer::Refused, reason) => Err(Failed::Disturbed(reason)),
            (answer, _) => Ok(answer),
        }
    }

    async fn read(&self, key: &Path) -> Result<String, Failed> {
        match self.objects.read(key, 1024).await.map_err(Failed::Disturbed)? {
            Read::Bytes(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
            Read::TooLarge(bytes) => Ok(format!("({bytes} bytes)")),
            Read::Absent => Err(Failed::Unfit(format!(
                "it does not show {key}, which was just created; use a store with read-after-write consistency"
            ))),
        }
    }

    async fn clean_up(&self) {
        if let Err(reason) = self.objects.delete_folder(&self.folder).await {
            tracing::warn!(store = self.shown_as, folder = %self.folder, reason, "probes were left behind");
        }
    }
}
