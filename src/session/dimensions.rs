//! What of a card a book holds, told exactly (missions B3 and B6).
//!
//! A declaration of capabilities (CTCap, §3.19) names properties; it cannot say "one mobile number, and no other". A book with
//! dimensions therefore says them in its device information twice: as CTCap, for every server, and as an extension, which
//! servers that do not know it leave aside:
//!
//! ```xml
//! <Ext><XNam>X-SYNCML-DIMENSIONS</XNam>
//!   <XVal>{"book":"./sim","dimensions":[{"property":"N"},{"property":"TEL","types":["CELL"],"count":1}]}</XVal></Ext>
//! ```
//!
//! There is a value for each such book, under its address at the device. Device information with dimensions is sent in every
//! session, as that of the books of that session.

use super::datastore::{Datastore, same_place};
use crate::contact::lens::Dimension;
use crate::message::{ContentCap, DevInf, Extension, Property, Text, Version};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// The extension's name.
const NAME: &str = "X-SYNCML-DIMENSIONS";

/// The most dimensions that are read for a book.
pub const MAX_DIMENSIONS: usize = 256;

/// Bytes of the longest value that is read.
const MAX_VALUE: usize = 64 * 1024;

#[derive(Deserialize, Serialize)]
struct Told<'a> {
    #[serde(borrow)]
    book: Cow<'a, str>,
    dimensions: Vec<One>,
}

/// A dimension with nothing said that says nothing.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct One {
    property: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    types: Vec<String>,
    #[serde(default, skip_serializing_if = "is_zero")]
    count: u32,
    #[serde(default, skip_serializing_if = "is_zero")]
    length: u32,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde's signature
const fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// Puts the dimensions of books, by their addresses, into the device's own information.
pub(super) fn tell(devinf: &mut DevInf<'static>, version: Version, books: &[(&str, &'static Datastore, &[Dimension])]) {
    let mut values = Vec::new();
    for (uri, datastore, dimensions) in books.iter().filter(|(.., dimensions)| !dimensions.is_empty()) {
        let told = Told {
            book: (*uri).into(),
            dimensions: (dimensions.iter().cloned())
                .map(|Dimension { property, types, count, length }| One { property, types, count, length })
                .collect(),
        };
        values.push(Text::Owned(serde_json::to_string(&told).unwrap_or_default()));
        let caps = caps(version, datastore, dimensions);
        match devinf.stores.iter_mut().find(|store| same_place(&store.source_ref, uri)) {
            Some(store) if version == Version::V12 => store.content_caps = caps,
            // Before 1.2 there is one list for all.
            _ if devinf.content_caps.is_empty() && books.len() == 1 => devinf.content_caps = caps,
            _ => {}
        }
    }
    if !values.is_empty() {
        devinf.extensions.push(Extension { name: NAME.into(), values });
    }
}

/// The same as a server sees it that knows properties only.
fn caps(version: Version, datastore: &Datastore, dimensions: &[Dimension]) -> Vec<ContentCap<'static>> {
    let mut properties: Vec<Property<'static>> = Vec::new();
    for dimension in dimensions {
        let count = (dimension.count > 0 && version == Version::V12).then_some(u64::from(dimension.count));
        let same = |known: &&mut Property<'_>| known.name.eq_ignore_ascii_case(&dimension.property);
        match properties.iter_mut().find(same) {
            Some(known) => known.max_occur = known.max_occur.zip(count).map(|(one, other)| one + other),
            None => properties.push(Property {
                name: dimension.property.to_ascii_uppercase().into(),
                max_occur: count,
                ..Property::default()
            }),
        }
    }
    let cap = |(media_type, of): &(&'static str, &'static str)| ContentCap {
        media_type: (*media_type).into(),
        version: (version == Version::V12).then_some((*of).into()),
        field_level: false,
        properties: properties.clone(),
    };
    datastore.types.iter().map(cap).collect()
}

/// What a device says that its book at this address holds. Where it says something that cannot be read, only names are: what
/// it sends beyond them is taken, and what it does not send is no deletion.
pub(super) fn of(devinf: &DevInf<'_>, there: &str) -> Option<Vec<Dimension>> {
    let values = devinf.extensions.iter().filter(|ext| ext.name.trim().eq_ignore_ascii_case(NAME));
    let mut unreadable = false;
    for value in values.flat_map(|ext| &ext.values) {
        let told = Some(value.trim()).filter(|value| value.len() <= MAX_VALUE);
        let told = told.and_then(|value| serde_json::from_str::<Told<'_>>(value).ok());
        let Some(told) = told.filter(|told| (1..=MAX_DIMENSIONS).contains(&told.dimensions.len())) else {
            unreadable = true;
            continue;
        };
        if same_place(&told.book, there) {
            let dimensions = told.dimensions.into_iter();
            let known = |One { property, types, count, length }| Dimension { property, types, count, length };
            return Some(dimensions.map(known).collect());
        }
    }
    unreadable.then(|| vec![Dimension { property: "N".to_owned(), ..Dimension::default() }])
}

#[cfg(test)]
mod tests {
    use super::{DevInf, Dimension, Extension, MAX_DIMENSIONS, NAME, Text, Version, of, tell};
    use crate::message::DataStore;
    use crate::session::datastore::DATASTORES;

    fn dimension(property: &str, types: &[&str], count: u32) -> Dimension {
        let types = types.iter().map(|it| (*it).to_owned()).collect();
        Dimension { property: property.to_owned(), types, count, length: 0 }
    }

    #[test]
    fn what_is_told_is_read() {
        let sim = [dimension("N", &[], 0), dimension("TEL", &["CELL"], 1), dimension("TEL", &[], 2)];
        let phone = [dimension("EMAIL", &[], 0)];
        let stores = ["./phone", "./sim"].map(|uri| DataStore { source_ref: uri.into(), ..DataStore::default() });
        let mut devinf = DevInf { stores: stores.into(), ..DevInf::default() };
        let books = [("./phone", &DATASTORES[0], &phone[..]), ("./sim", &DATASTORES[0], &sim[..])];
        tell(&mut devinf, Version::V12, &books);
        assert_eq!(of(&devinf, "sim").as_deref(), Some(&sim[..]));
        assert_eq!(of(&devinf, "http://host/phone").as_deref(), Some(&phone[..]), "however it is written");
        assert_eq!(of(&devinf, "./phone").as_deref(), Some(&phone[..]));
        assert_eq!(of(&devinf, "./other"), None);
        let caps = &devinf.stores[1].content_caps[0];
        let told: Vec<_> = caps.properties.iter().map(|it| (&*it.name, it.max_occur)).collect();
        assert_eq!(told, [("N", None), ("TEL", Some(3))], "for those who know no dimensions");
        let mut none = DevInf::default();
        tell(&mut none, Version::V12, &[("./sim", &DATASTORES[0], &[])]);
        assert_eq!(none, DevInf::default());
    }

    #[test]
    fn who_cannot_be_understood_holds_names_only() {
        let many = (0..=MAX_DIMENSIONS).map(|at| format!(r#"{{"property":"X-{at}"}}"#)).collect::<Vec<_>>().join(",");
        let many = format!(r#"{{"book":"./sim","dimensions":[{many}]}}"#);
        for value in [
            "",
            "nonsense",
            r#"{"book":"./sim"}"#,
            r#"{"book":"./sim","dimensions":[]}"#,
            r#"{"book":"./sim","dimensions":[{"property":"TEL","count":-1}]}"#,
            r#"{"book":"./sim","dimensions":[{"property":"TEL","most":1}]}"#,
            many.as_str(),
            &" ".repeat(super::MAX_VALUE + 1).replace(' ', "x"),
        ] {
            let ext = Extension { name: NAME.into(), values: vec![Text::Owned(value.to_owned())] };
            let devinf = DevInf { extensions: vec![ext], ..DevInf::default() };
            assert_eq!(of(&devinf, "./sim"), Some(vec![dimension("N", &[], 0)]), "{:.80}", value);
        }
        let other = Extension { name: "X-OTHER".into(), values: vec!["nonsense".into()] };
        assert_eq!(of(&DevInf { extensions: vec![other], ..DevInf::default() }, "./sim"), None);
    }
}
