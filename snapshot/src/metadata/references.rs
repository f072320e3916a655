//! The distinct files that a snapshot refers to.

use std::collections::BTreeMap;

/// What the path of a reference is relative to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Base {
    /// Nothing: it is a whole path or URI, as Flink's `Path.toString()` writes it: not percent-encoded
    /// (`FileStateHandle`, `SegmentFileStateHandle`).
    Absolute,
    /// The directory of the `_metadata` file (`RelativeFileStateHandle`): such a snapshot can be moved.
    Snapshot,
}

/// What a snapshot needs of one file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reference {
    /// The file must have at least this many bytes: the most that any handle asks for. It may have more (changelog
    /// files always do, by a byte that tells how they are compressed).
    pub recorded_bytes: u64,
    /// How many handles name the file.
    pub handles: u64,
}

type Directory = BTreeMap<Box<str>, Reference>;

/// Distinct files in the order of their paths, each once however often it is named.
///
/// Files of one directory share its name, so a million of them take some 100 MB.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct References {
    absolute: BTreeMap<Box<str>, Directory>,
    beside: BTreeMap<Box<str>, Directory>,
    files: u64,
}

impl References {
    /// How many distinct files.
    pub fn len(&self) -> u64 {
        self.files
    }

    /// Whether the snapshot is complete in its `_metadata` file.
    pub fn is_empty(&self) -> bool {
        self.files == 0
    }

    /// Each file: what its path is relative to, its directory up to and with the last `/`, its name, and what is
    /// needed of it.
    pub fn iter(&self) -> impl Iterator<Item = (Base, &str, &str, Reference)> {
        let absolute = self.absolute.iter().map(|(directory, files)| (Base::Absolute, directory, files));
        let beside = self.beside.iter().map(|(directory, files)| (Base::Snapshot, directory, files));
        absolute.chain(beside).flat_map(|(base, directory, files)| {
            files.iter().map(move |(name, reference)| (base, &**directory, &**name, *reference))
        })
    }

    /// Notes that a handle needs the first `recorded_bytes` of a file. Returns how many bytes of text that keeps.
    pub(crate) fn note(&mut self, base: Base, path: &str, recorded_bytes: u64) -> u64 {
        let (directory, name) = path.split_at(path.rfind('/').map_or(0, |slash| slash + 1));
        let directories = match base {
            Base::Absolute => &mut self.absolute,
            Base::Snapshot => &mut self.beside,
        };
        let mut text_bytes = 0;
        if !directories.contains_key(directory) {
            directories.insert(directory.into(), Directory::new());
            text_bytes += directory.len() as u64;
        }
        let files = directories.get_mut(directory).expect("it was put there");
        match files.get_mut(name) {
            Some(reference) => {
                reference.recorded_bytes = reference.recorded_bytes.max(recorded_bytes);
                reference.handles += 1;
            }
            None => {
                files.insert(name.into(), Reference { recorded_bytes, handles: 1 });
                self.files += 1;
                text_bytes += name.len() as u64;
            }
        }
        text_bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_named_twice_is_one_file_with_the_larger_size() {
        let mut references = References::default();
        assert_eq!(references.note(Base::Absolute, "s3://b/shared/x", 5), 15);
        assert_eq!(references.note(Base::Absolute, "s3://b/shared/x", 3), 0);
        assert_eq!(references.note(Base::Absolute, "s3://b/shared/y", 1), 1);
        assert_eq!(references.note(Base::Snapshot, "x", 7), 1);
        let all: Vec<_> =
            references.iter().map(|(b, d, n, r)| (b, d, n, r.recorded_bytes, r.handles)).collect();
        let expected = [
            (Base::Absolute, "s3://b/shared/", "x", 5, 2),
            (Base::Absolute, "s3://b/shared/", "y", 1, 1),
            (Base::Snapshot, "", "x", 7, 1),
        ];
        assert_eq!(all, expected);
        assert_eq!(references.len(), 3);
    }
}
