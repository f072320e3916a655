//! What people and programs read about a campaign: text, JSON, JUnit's XML, and one HTML file.

mod collected;
mod html;
mod json;
mod junit;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
pub(crate) mod testing_xml;
mod text;

pub use self::collected::{collected_json, collected_text, missing};
pub use self::html::html;
pub use self::json::json;
pub use self::junit::junit;
pub use self::text::{replayed, text};
