//! What is stored. It outlives everything but the run.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::wire::{Answer, Meta, Request};
use crate::trace::Event;

/// Objects by their keys.
#[derive(Debug, Clone, Default)]
pub struct Objects {
    objects: BTreeMap<String, Object>,
    tags: u64,
}

#[derive(Debug, Clone)]
struct Object {
    body: Bytes,
    modified_ms: u64,
    tag: u64,
}

// === impl Objects ===

impl Objects {
    /// What stands under a key.
    pub fn body(&self, key: &str) -> Option<&Bytes> {
        self.objects.get(key).map(|object| &object.body)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.objects.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.objects.is_empty()
    }

    /// Carries a request out at once, and says what happened by it.
    pub(super) fn apply(
        &mut self,
        request: &Request,
        body: &Bytes,
        now_ms: u64,
    ) -> (Answer, Bytes, Option<Event>) {
        let none = Bytes::new;
        match request {
            Request::Put { key, create: true } if self.objects.contains_key(key) => {
                (Answer::Exists, none(), Some(Event::StoreRefused { key: key.clone() }))
            }
            Request::Put { key, create } => {
                self.tags += 1;
                let object = Object { body: body.clone(), modified_ms: now_ms, tag: self.tags };
                self.objects.insert(key.clone(), object);
                let (key, body) = (key.clone(), body.clone());
                let event = match create {
                    true => Event::StoreCreated { key, body },
                    false => Event::StoreOverwritten { key, body },
                };
                (Answer::Done, none(), Some(event))
            }
            Request::Get { key, head } => match self.objects.get(key) {
                None => (Answer::NotFound, none(), None),
                Some(object) => {
                    let body = if *head { none() } else { object.body.clone() };
                    (Answer::Found(object.meta(key)), body, None)
                }
            },
            Request::List { folder, after } => {
                let below = if folder.is_empty() { String::new() } else { format!("{folder}/") };
                let wanted = |key: &&String| {
                    key.starts_with(&below)
                        && after.as_ref().is_none_or(|after| key.as_str() > after.as_str())
                };
                let from = self.objects.range(below.clone()..).take_while(|(key, _)| key.starts_with(&below));
                let found =
                    from.filter(|(key, _)| wanted(key)).map(|(key, object)| object.meta(key)).collect();
                (Answer::Listed(found), none(), None)
            }
            Request::Delete { key } => {
                let event = self.objects.remove(key).map(|_| Event::StoreDeleted { key: key.clone() });
                (Answer::Done, none(), event)
            }
        }
    }
}

// === impl Object ===

impl Object {
    fn meta(&self, key: &str) -> Meta {
        let bytes = self.body.len() as u64;
        Meta { key: key.to_owned(), bytes, modified_ms: self.modified_ms, tag: self.tag }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(objects: &mut Objects, key: &str, create: bool, body: &'static [u8]) -> (Answer, Option<Event>) {
        let request = Request::Put { key: key.to_owned(), create };
        let (answer, _, event) = objects.apply(&request, &Bytes::from_static(body), 5);
        (answer, event)
    }

    #[test]
    fn a_create_over_an_object_is_refused_and_leaves_it_alone() {
        let mut objects = Objects::default();
        assert_eq!(put(&mut objects, "a", true, b"first").0, Answer::Done);
        let (answer, event) = put(&mut objects, "a", true, b"second");
        assert_eq!(answer, Answer::Exists);
        assert_eq!(event, Some(Event::StoreRefused { key: "a".into() }));
        assert_eq!(objects.body("a").map(|body| &body[..]), Some(&b"first"[..]));
    }

    #[test]
    fn a_listing_shows_what_is_below_the_folder_and_after_the_key() {
        let mut objects = Objects::default();
        for key in ["log/1", "log/2", "log/3", "logs/4", "lo"] {
            put(&mut objects, key, true, b"");
        }
        let request = Request::List { folder: "log".into(), after: Some("log/1".into()) };
        let Answer::Listed(found) = objects.apply(&request, &Bytes::new(), 5).0 else { panic!("no listing") };
        let keys: Vec<_> = found.iter().map(|meta| meta.key.as_str()).collect();
        assert_eq!(keys, ["log/2", "log/3"]);
    }

    #[test]
    fn a_delete_of_what_is_gone_is_fine_and_no_event() {
        let mut objects = Objects::default();
        put(&mut objects, "a", true, b"");
        let delete = Request::Delete { key: "a".into() };
        assert_eq!(objects.apply(&delete, &Bytes::new(), 5).2, Some(Event::StoreDeleted { key: "a".into() }));
        assert_eq!(objects.apply(&delete, &Bytes::new(), 5).2, None);
        assert!(objects.is_empty());
    }
}
