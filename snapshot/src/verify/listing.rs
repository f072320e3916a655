//! Listing a directory, for as long as that is cheaper than asking for each file.

use super::target::Target;
use crate::stores::{Asker, Client, Trouble};
use futures::StreamExt;
use object_store::path::Path as Key;

/// Keys in one page of a listing: S3's and Google's maximum, and the least of all.
const PAGE_KEYS: u64 = 1000;

/// Pages that a listing may take without having found anything.
const FREE_PAGES: u64 = 2;

/// Whether a listing still pays. Pure: it knows what was listed and what was found.
///
/// A listing may cost as much as asking for each file that it found, and [`FREE_PAGES`]. So the worst directory (a
/// million files of other jobs, and a few of this one) costs those pages more than asking, and not more.
#[derive(Debug)]
pub(super) struct Pace {
    page_costs_heads: u64,
    listed: u64,
    found: u64,
}

impl Pace {
    pub(super) fn new(page_costs_heads: u64) -> Self {
        Self { page_costs_heads, listed: 0, found: 0 }
    }

    /// One more key was listed. Whether the next one begins a new page.
    fn note(&mut self, needed: bool) -> bool {
        self.listed += 1;
        self.found += u64::from(needed);
        self.listed.is_multiple_of(PAGE_KEYS)
    }

    fn pays(&self) -> bool {
        let pages = self.listed.div_ceil(PAGE_KEYS);
        pages < FREE_PAGES || self.found >= (pages - FREE_PAGES + 1).saturating_mul(self.page_costs_heads)
    }
}

/// The lengths of those `files` (all in one directory, sorted by name) that a listing shows. What it does not show is not
/// proven to be missing: the listing may have been given up.
pub(super) async fn lengths(
    asker: &Asker,
    client: &Client,
    files: &[Target],
    page_costs_heads: u64,
) -> Vec<(usize, u64)> {
    let Some(directory) = files.first().map(Target::directory) else { return Vec::new() };
    let mut pace = Pace::new(page_costs_heads);
    let mut lengths = Vec::new();
    let mut last: Option<Key> = None;
    let mut attempt = 1;
    'listing: while lengths.len() < files.len() && pace.pays() {
        let mut listing = client.list(directory, last.as_ref());
        asker.count_list_page();
        loop {
            let next = asker.in_time(async { listing.next().await.transpose() }).await;
            let found = match next {
                Ok(Some(found)) => found,
                Ok(None) | Err(Trouble::Absent | Trouble::Permanent(_)) => break 'listing,
                Err(Trouble::Transient(_)) if asker.may_retry(attempt).await => {
                    attempt += 1;
                    continue 'listing;
                }
                Err(Trouble::Transient(_)) => break 'listing,
            };
            let index = name_in(directory, &found.location)
                .and_then(|name| files.binary_search_by(|file| file.name().cmp(name)).ok());
            lengths.extend(index.map(|index| (index, found.size)));
            last = Some(found.location);
            let page_ends = pace.note(index.is_some());
            if lengths.len() == files.len() || (page_ends && !pace.pays()) {
                break 'listing;
            }
            if page_ends {
                asker.count_list_page();
            }
        }
    }
    lengths
}

fn name_in<'a>(directory: &str, key: &'a Key) -> Option<&'a str> {
    let key = key.as_ref();
    match directory {
        "" => Some(key),
        _ => key.strip_prefix(directory)?.strip_prefix('/'),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many pages are listed when one of `every` keys is needed.
    fn pages(every: u64, keys: u64) -> u64 {
        let mut pace = Pace::new(100);
        for key in 0..keys {
            if pace.note(key % every == 0) && !pace.pays() {
                break;
            }
        }
        pace.listed.div_ceil(PAGE_KEYS)
    }

    #[test]
    fn a_directory_of_needed_files_is_listed_to_its_end() {
        assert_eq!(pages(1, 100_000), 100);
        assert_eq!(pages(5, 100_000), 100);
    }

    #[test]
    fn a_directory_of_other_jobs_files_is_given_up_soon() {
        assert_eq!(pages(1_000_000, 1_000_000), FREE_PAGES);
        assert!(pages(15, 1_000_000) < 10);
    }
}
