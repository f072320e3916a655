//! Verification: the `_metadata` file parses, and every file that it refers to is there.

mod listing;
mod options;
mod report;
mod target;
mod window;

pub use options::VerifyOptions;
pub use report::{FileReference, Unanswered, Unreadable, Verdict, Verification};

use crate::metadata::{self, FILE_NAME, ReadError};
use crate::place::{self, PlaceError};
use crate::stores::{Asker, Client, Stat, Stores, Trouble};
use futures::{StreamExt, stream};
use report::Answer;
use target::Targets;

/// Directories that are listed at the same time; each is one page after the other.
const LISTINGS: usize = 8;

/// Why there is nothing to verify. Whatever is wrong with a snapshot is no such error but a [`Verification`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// The snapshot's path leads to no store.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// The store that the path leads to cannot be opened: something is wrong with its configuration.
    #[error("{store} cannot be opened: {reason}")]
    Store {
        /// The store.
        store: String,
        /// Why not.
        reason: String,
    },
}

/// Verifies the snapshot at `snapshot`: the directory of a checkpoint or savepoint, or a `_metadata` file, as a URI or a
/// local path. Like in Flink's own paths, nothing in it is percent-encoded. Only ever reads.
///
/// A file counts as missing only when the store says that it is not there. One that could not be asked for is unknown, and
/// then the snapshot is neither [ok](Verdict::Ok) nor [broken](Verdict::Broken).
///
/// Memory is needed for the `_metadata` file's operators and distinct files, and for as many answers as are waited for.
///
/// # Errors
/// When `snapshot` leads to no store. Nothing was asked then.
pub async fn verify(
    stores: &Stores,
    snapshot: &str,
    options: &VerifyOptions,
) -> Result<Verification, VerifyError> {
    let asker = Asker::new(options.patience());
    let path = absolute(snapshot);
    let place = place::parse(&path)?;
    let client = stores.client(&place.store);
    let client = client.map_err(|reason| VerifyError::Store { store: place.store.to_string(), reason })?;

    let (metadata_path, stat) = locate(&asker, &client, &path, place.key_at).await;
    let mut verification = Verification::empty(metadata_path.clone(), options.metadata_only);
    let mut proven_corrupt = false;
    match stat {
        Err(Trouble::Absent) => verification.missing.push(metadata_path),
        Err(Trouble::Transient(error) | Trouble::Permanent(error)) => {
            verification.unknown.push(Unanswered { path: metadata_path, error });
        }
        Ok(stat) => {
            let source = window::ObjectSource::new(&asker, &client, &metadata_path[place.key_at..], stat);
            match metadata::read(source, &options.limits).await {
                Ok(mut metadata) => {
                    let references = std::mem::take(&mut metadata.references);
                    let directory = metadata_path.rsplit_once('/').map_or("", |(directory, _)| directory);
                    let mut targets = Targets::new(&references, directory);
                    drop(references);
                    verification.describe(metadata);
                    if !options.metadata_only {
                        ask(&asker, stores, &mut targets, options).await;
                    }
                    for file in targets.files {
                        let answer = if options.metadata_only { Answer::NotAsked } else { file.answer };
                        verification.add(file.path, file.recorded_bytes, answer);
                    }
                }
                Err(error) => {
                    proven_corrupt = matches!(error, ReadError::Corrupt(_));
                    verification.not_read(&error);
                }
            }
        }
    }
    verification.judge(proven_corrupt, asker.requests());
    Ok(verification)
}

/// A local path may be relative to the working directory.
fn absolute(snapshot: &str) -> String {
    let trimmed = match snapshot.trim_end_matches('/') {
        "" => snapshot,
        trimmed => trimmed,
    };
    match place::parse(trimmed) {
        Err(PlaceError::Invalid { .. }) if !trimmed.contains("://") && !trimmed.starts_with("file:") => {
            let path = std::path::absolute(trimmed).ok();
            path.and_then(|path| path.to_str().map(str::to_owned)).unwrap_or_else(|| trimmed.to_owned())
        }
        _ => trimmed.to_owned(),
    }
}

/// The `_metadata` file: the one in this directory, or this file.
async fn locate(
    asker: &Asker,
    client: &Client,
    path: &str,
    key_at: usize,
) -> (String, Result<Stat, Trouble>) {
    let inside = format!("{path}/{FILE_NAME}");
    if path.rsplit('/').next() == Some(FILE_NAME) {
        return (path.to_owned(), asker.stat(client, &path[key_at..]).await);
    }
    match asker.stat(client, &inside[key_at..]).await {
        // The file may have been renamed when it was copied to somewhere.
        Err(Trouble::Absent) => match asker.stat(client, &path[key_at..]).await {
            Ok(stat) => (path.to_owned(), Ok(stat)),
            Err(Trouble::Transient(error)) => (path.to_owned(), Err(Trouble::Transient(error))),
            // Nothing, or a directory without a `_metadata` file.
            Err(Trouble::Absent | Trouble::Permanent(_)) => (inside, Err(Trouble::Absent)),
        },
        answer => (inside, answer),
    }
}

/// First the directories that are worth a listing, then every file that no listing showed.
async fn ask(asker: &Asker, stores: &Stores, targets: &mut Targets, options: &VerifyOptions) {
    let clients: Vec<_> = targets.stores.iter().map(|store| stores.client(store)).collect();
    let listed = {
        let worth = targets.directories().into_iter().filter_map(|range| {
            let client = clients[targets.files[range.start].store].as_ref().ok()?;
            (client.can_list() && range.len() >= options.list_from_files).then_some((range, client))
        });
        let files = &targets.files;
        let listings = worth.map(|(range, client)| async move {
            let costs = options.list_page_costs_heads;
            let lengths = listing::lengths(asker, client, &files[range.clone()], costs).await;
            (range.start, lengths)
        });
        let listings: Vec<_> = listings.collect();
        stream::iter(listings).buffer_unordered(LISTINGS).collect::<Vec<_>>().await
    };
    for (start, lengths) in listed {
        for (index, bytes) in lengths {
            targets.files[start + index].answer = Answer::Found(bytes);
        }
    }
    ask_each(asker, &clients, targets, options).await;
}

async fn ask_each(
    asker: &Asker,
    clients: &[Result<Client, String>],
    targets: &mut Targets,
    options: &VerifyOptions,
) {
    let files = &targets.files;
    // By number: the compiler cannot see that a closure over references makes futures that may change threads.
    let open: Vec<usize> =
        (0..files.len()).filter(|index| files[*index].answer == Answer::NotAsked).collect();
    let questions = open.into_iter().map(|index| async move {
        let file = &files[index];
        let answer = match &clients[file.store] {
            Ok(client) => match asker.stat(client, file.key()).await {
                Ok(stat) => Answer::Found(stat.length_bytes),
                Err(Trouble::Absent) => Answer::Absent,
                Err(Trouble::Transient(error) | Trouble::Permanent(error)) => Answer::Unknown(error),
            },
            Err(reason) => Answer::Unknown(reason.clone()),
        };
        (index, answer)
    });
    let mut answers = Vec::new();
    let mut unanswered = 0;
    let mut asked = stream::iter(questions).buffer_unordered(options.concurrency.max(1));
    while let Some((index, answer)) = asked.next().await {
        unanswered += usize::from(matches!(answer, Answer::Unknown(_)));
        answers.push((index, answer));
        if unanswered >= options.unanswered_max.max(1) {
            break;
        }
    }
    drop(asked);
    for (index, answer) in answers {
        targets.files[index].answer = answer;
    }
    for file in targets.files.iter_mut().filter(|file| file.answer == Answer::NotAsked) {
        let error = format!("not asked for: {unanswered} other files could not be asked for");
        file.answer = Answer::Unknown(error);
    }
}
