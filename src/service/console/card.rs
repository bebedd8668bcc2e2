//! A card as a form has it, and what a form makes of a card.
//!
//! Each field is a property of the card as it was shown, or a new one. Only a field that says something else than what was
//! shown changes its property, and of it only the value: everything else stays byte for byte, unknown properties too.

use super::form::Fields;
use super::phrases::Phrase;
use crate::contact::card::{Card, CardBuilder, Editor, Property, PropertyBuf, Value, Version, decode_document};
use std::collections::BTreeSet;

/// How a property's value is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    /// One text.
    Text,
    /// A list with commas.
    List,
    /// Chosen components, each a field.
    Parts(&'static [(usize, Phrase)]),
}

/// A property that the form knows.
struct Known {
    name: &'static str,
    label: Phrase,
    shape: Shape,
    /// Whether a card may have several.
    many: bool,
    /// Whether it has a long text.
    long: bool,
}

const fn one(name: &'static str, label: Phrase, shape: Shape) -> Known {
    Known { name, label, shape, many: false, long: false }
}

const fn many(name: &'static str, label: Phrase, shape: Shape) -> Known {
    Known { name, label, shape, many: true, long: false }
}

/// Components by RFC 6350 §6.2.2, §6.6.4 and §6.3.1, in the order in which people write them.
const KNOWN: &[Known] = &[
    one(
        "N",
        Phrase::Name,
        Shape::Parts(&[
            (3, Phrase::NamePrefix),
            (1, Phrase::GivenName),
            (2, Phrase::MiddleName),
            (0, Phrase::FamilyName),
            (4, Phrase::NameSuffix),
        ]),
    ),
    one("FN", Phrase::DisplayName, Shape::Text),
    one("NICKNAME", Phrase::Nickname, Shape::List),
    many("TEL", Phrase::Number, Shape::Text),
    many("EMAIL", Phrase::Email, Shape::Text),
    one("ORG", Phrase::Organization, Shape::Parts(&[(0, Phrase::Organization), (1, Phrase::Department)])),
    one("TITLE", Phrase::JobTitle, Shape::Text),
    many(
        "ADR",
        Phrase::Address,
        Shape::Parts(&[
            (2, Phrase::Street),
            (5, Phrase::PostalCode),
            (3, Phrase::City),
            (4, Phrase::Region),
            (6, Phrase::Country),
        ]),
    ),
    many("URL", Phrase::Website, Shape::Text),
    one("BDAY", Phrase::Birthday, Shape::Text),
    Known { name: "NOTE", label: Phrase::Note, shape: Shape::Text, many: false, long: true },
];

/// Kinds of a new number.
pub(super) const KINDS: [(&str, Phrase); 4] =
    [("CELL", Phrase::KindCell), ("HOME", Phrase::KindHome), ("WORK", Phrase::KindWork), ("FAX", Phrase::KindFax)];

/// The name of the field that says what kind a new number is.
pub(super) const NEW_KIND: &str = "TEL-new-kind";

/// A field of the form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Field {
    /// What it is called in the form.
    pub(super) id: String,
    pub(super) label: Phrase,
    pub(super) value: String,
    /// What the card says of it besides: `CELL WORK`.
    pub(super) types: String,
    /// Whether it would be a new property.
    pub(super) new: bool,
    /// Whether there are others like it.
    pub(super) another: bool,
    pub(super) long: bool,
}

/// Fields that belong together: those of one property.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Group {
    pub(super) label: Phrase,
    /// The property's name.
    pub(super) name: &'static str,
    pub(super) fields: Vec<Field>,
}

/// What the form does not know of a card.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Rest {
    Text(String, String),
    /// So many bytes.
    Binary(String, usize),
}

/// An empty card, for a new contact.
pub(super) fn blank() -> Vec<u8> {
    CardBuilder::new(Version::V3_0).build()
}

/// The fields of a card, filled; `None` if it is none.
pub(super) fn groups(content: &[u8]) -> Option<Vec<Group>> {
    let content = decode_document(content);
    let card = Card::parse(&content).ok()?;
    let mut groups = Vec::new();
    for known in KNOWN {
        let mut there = 0;
        for (at, property) in spots(&card, known) {
            groups.push(group(known, Some((at, property)), false));
            there += 1;
        }
        if there == 0 || known.many {
            groups.push(group(known, None, there > 0));
        }
    }
    Some(groups)
}

/// Where a known property is in a card, with its index; of one that a card has once, the first.
fn spots<'c, 'a>(card: &'c Card<'a>, known: &Known) -> impl Iterator<Item = (usize, &'c Property<'a>)> {
    let name = known.name;
    let most = if known.many { usize::MAX } else { 1 };
    card.properties().iter().enumerate().filter(move |(_, property)| property.is(name)).take(most)
}

fn group(known: &'static Known, place: Option<(usize, &Property<'_>)>, another: bool) -> Group {
    let types = place.map(|(_, property)| property.types().map(|word| word.to_uppercase()).collect::<Vec<_>>());
    let types = types.unwrap_or_default().join(" ");
    let at = place.map(|(at, _)| at);
    let field = |part: Option<usize>, label, value| Field {
        id: id(known, at, part),
        label,
        value,
        types: types.clone(),
        new: at.is_none(),
        another,
        long: known.long,
    };
    let property = place.map(|(_, property)| property);
    let fields = match known.shape {
        Shape::Text | Shape::List => vec![field(None, known.label, shown(known, property))],
        Shape::Parts(parts) => {
            let all = property.map(Property::components).unwrap_or_default();
            let value = |part: usize| all.get(part).map(|text| flat(text)).unwrap_or_default();
            parts.iter().map(|(part, label)| field(Some(*part), *label, value(*part))).collect()
        }
    };
    Group { label: known.label, name: known.name, fields }
}

/// The value of one text.
fn shown(known: &Known, property: Option<&Property<'_>>) -> String {
    let text = match (known.shape, property) {
        (_, None) => String::new(),
        (Shape::List, Some(property)) => property.list().join(", "),
        (_, Some(property)) => property.text().into_owned(),
    };
    if known.long { whole(&text) } else { flat(&text) }
}

/// A text on one line, as an input gives it back.
fn flat(text: &str) -> String {
    whole(text).replace('\n', " ")
}

/// A text as a form gives it back: else it would seem to be changed.
fn whole(text: &str) -> String {
    let kept = text.chars().filter(|char| *char != '\r');
    let kept = kept.map(|char| if char.is_control() && !matches!(char, '\n' | '\t') { '\u{fffd}' } else { char });
    kept.collect::<String>().trim().to_owned()
}

fn id(known: &Known, at: Option<usize>, part: Option<usize>) -> String {
    let at = at.map_or_else(|| "new".to_owned(), |at| at.to_string());
    let part = part.map(|part| format!("_{part}")).unwrap_or_default();
    format!("{}-{at}{part}", known.name)
}

/// What the form does not know.
pub(super) fn rest(content: &[u8]) -> Vec<Rest> {
    let content = decode_document(content);
    let Ok(card) = Card::parse(&content) else { return Vec::new() };
    let taken: Vec<usize> = KNOWN.iter().flat_map(|known| spots(&card, known).map(|(at, _)| at)).collect();
    let unknown = card.properties().iter().enumerate().filter(|(at, _)| !taken.contains(at));
    let unknown = unknown.map(|(_, property)| property).filter(|property| !property.is("VERSION"));
    unknown
        .map(|property| match property.binary() {
            Some(bytes) => Rest::Binary(property.name().to_uppercase(), bytes.len()),
            None => Rest::Text(property.name().to_uppercase(), property.text().into_owned()),
        })
        .collect()
}

/// The card that a form makes of the one it was shown; `None` if that is none. Fields that the form does not bring stay.
pub(super) fn apply(base: &[u8], form: &Fields) -> Option<Vec<u8>> {
    let document = decode_document(base);
    let card = Card::parse(&document).ok()?;
    let mut editor = Editor::new(&card);
    let mut changes = BTreeSet::new();
    for known in KNOWN {
        for (at, property) in spots(&card, known) {
            if let Some(change) = changed(known, Some((at, property)), form) {
                changes.insert(known.name);
                match change {
                    Some(property) => editor.replace(at, &property),
                    None => editor.remove(at),
                }
            }
        }
        let may = known.many || spots(&card, known).next().is_none();
        if let Some(Some(property)) = changed(known, None, form).filter(|_| may) {
            changes.insert(known.name);
            editor.append(&property);
        }
    }
    if changes.is_empty() {
        return Some(base.to_vec());
    }
    let edited = editor.finish();
    Some(if changes.contains("FN") { edited } else { followed(&card, &edited).unwrap_or(edited) })
}

/// What a form makes of a property: nothing new, another value, or nothing of it at all.
fn changed(known: &Known, place: Option<(usize, &Property<'_>)>, form: &Fields) -> Option<Option<PropertyBuf>> {
    let (at, property) = (place.map(|(at, _)| at), place.map(|(_, property)| property));
    let said = |part, shown: &str| {
        let text = form.get(&id(known, at, part))?.trim();
        (text != shown).then(|| text.to_owned())
    };
    let value = match known.shape {
        Shape::Text => Value::Text(said(None, &shown(known, property))?),
        Shape::List => {
            let text = said(None, &shown(known, property))?;
            Value::List(
                text.split([',', '，']).map(|item| item.trim().to_owned()).filter(|item| !item.is_empty()).collect(),
            )
        }
        Shape::Parts(parts) => {
            let mut whole = property.map(Property::structure).unwrap_or_default();
            let shown = property.map(Property::components).unwrap_or_default();
            let mut touched = false;
            for (part, _) in parts {
                let before = shown.get(*part).map(|text| flat(text)).unwrap_or_default();
                if let Some(text) = said(Some(*part), &before) {
                    whole.resize_with(whole.len().max(part + 1), || vec![String::new()]);
                    whole[*part] = vec![text];
                    touched = true;
                }
            }
            touched.then_some(())?;
            whole.resize_with(whole.len().max(least(known.name)), || vec![String::new()]);
            Value::Structured(whole)
        }
    };
    if is_nothing(&value) {
        return Some(None);
    }
    Some(Some(match property {
        Some(property) => {
            let mut property = PropertyBuf::from(property);
            property.set_value(value);
            property
        }
        None => {
            let kind = form.get(NEW_KIND).filter(|_| known.name == "TEL");
            let kind = KINDS.iter().find(|(word, _)| Some(*word) == kind);
            let property = PropertyBuf::new(known.name, value);
            match kind {
                Some((word, _)) => property.param("TYPE", *word),
                None => property,
            }
        }
    }))
}

/// Components that a property has at least.
fn least(name: &str) -> usize {
    match name {
        "N" => 5,
        "ADR" => 7,
        _ => 1,
    }
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Text(text) => text.is_empty(),
        Value::List(items) => items.is_empty(),
        Value::Structured(parts) => parts.iter().flatten().all(|text| text.trim().is_empty()),
        _ => false,
    }
}

/// The displayed name follows the name if it only repeated it (law L8), or is missing.
fn followed(base: &Card<'_>, edited: &[u8]) -> Option<Vec<u8>> {
    let document = decode_document(edited);
    let card = Card::parse(&document).ok()?;
    let (before, after) =
        (base.get("N").map(rendered).unwrap_or_default(), card.get("N").map(rendered).unwrap_or_default());
    let listed = card.text("FN").map(|text| text.trim().to_owned()).unwrap_or_default();
    let mut editor = Editor::new(&card);
    if listed.is_empty() && card.version() >= Version::V3_0 {
        // These versions want one; of a card without a name it is what stands for it.
        let stand_in = ["NICKNAME", "ORG", "EMAIL", "TEL"].into_iter().filter_map(|name| card.text(name));
        let name = Some(after).filter(|name| !name.is_empty());
        let name = name.or_else(|| stand_in.map(|text| text.replace(';', " ").trim().to_owned()).next())?;
        editor.set(&PropertyBuf::text("FN", name));
        if card.get("N").is_none() && card.version() == Version::V3_0 {
            editor.append(&PropertyBuf::components("N", ["", "", "", "", ""]));
        }
    } else if !listed.is_empty() && before == listed && before != after && !after.is_empty() {
        editor.set(&PropertyBuf::text("FN", after));
    } else {
        return None;
    }
    Some(editor.finish())
}

/// A name as people write it; the one of China, Japan and Korea without blanks, the family's first.
fn rendered(name: &Property<'_>) -> String {
    let parts = name.components();
    let part = |at: usize| parts.get(at).map_or("", |text| text.trim());
    let wide =
        |text: &str| text.chars().all(|c| matches!(u32::from(c), 0x2e80..=0x9fff | 0xac00..=0xd7a3 | 0xf900..=0xfaff));
    if wide(&parts.concat()) {
        return [0, 1].map(part).concat();
    }
    let said: Vec<_> = [3, 1, 2, 0, 4].map(part).into_iter().filter(|text| !text.is_empty()).collect();
    said.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const CARD: &str = "BEGIN:VCARD\r\nVERSION:3.0\r\nX-FIRST;X-P=1:stays\r\nN:Byron;Ada;;;\r\nFN:Ada Byron\r\n\
        item1.TEL;TYPE=CELL,VOICE:+44 1\r\nitem1.X-ABLabel:boat\r\nTEL;TYPE=WORK:+44 2\r\nORG:Engines;Analysis;Deep\r\n\
        ADR;TYPE=HOME:box;;12 St James;London;;SW1;UK\r\nCATEGORIES:a,b\r\nPHOTO;ENCODING=b:aGVsbG8=\r\n\
        NOTE:one\\ntwo\r\nEND:VCARD\r\n";

    fn form(fields: &[(&str, &str)]) -> Fields {
        fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn filled(content: &[u8]) -> Fields {
        let fields = groups(content).unwrap().into_iter().flat_map(|group| group.fields);
        fields.map(|field| (field.id, field.value)).collect()
    }

    fn applied(fields: &[(&str, &str)]) -> String {
        String::from_utf8(apply(CARD.as_bytes(), &form(fields)).unwrap()).unwrap()
    }

    #[test]
    fn a_form_that_changes_nothing_leaves_every_byte() {
        for content in
            [CARD.as_bytes(), &blank(), b"BEGIN:VCARD\nVERSION:2.1\nN;CHARSET=UTF-8:M\xc3\xbcller\nTEL:1\nEND:VCARD"]
        {
            assert_eq!(apply(content, &filled(content)).unwrap(), content);
            assert_eq!(apply(content, &Fields::default()).unwrap(), content);
        }
        assert_eq!((apply(b"no card", &Fields::default()), groups(b"no card")), (None, None));
    }

    #[test]
    fn only_what_was_changed_changes() {
        for (fields, before, after) in [
            (&[("TEL-4", "+44 9")][..], "+44 1", "+44 9"),
            (&[("TEL-4", "")], "item1.TEL;TYPE=CELL,VOICE:+44 1\r\n", ""),
            (&[("ORG-7_1", "Synthesis")], "Analysis", "Synthesis"),
            (&[("ADR-8_3", "Paris")], "London", "Paris"),
            (&[("NOTE-11", "one\ntwo\nthree, four")], "one\\ntwo", "one\\ntwo\\nthree\\, four"),
            (&[("TEL-new", "5"), ("TEL-new-kind", "HOME")], "END:VCARD", "TEL;TYPE=HOME:5\r\nEND:VCARD"),
            (&[("EMAIL-new", "a@b")], "END:VCARD", "EMAIL:a@b\r\nEND:VCARD"),
            (&[("NICKNAME-new", "Countess, A")], "END:VCARD", "NICKNAME:Countess,A\r\nEND:VCARD"),
            (&[("FN-3", "The Countess")], "FN:Ada Byron", "FN:The Countess"),
            // The displayed name follows (L8).
            (&[("N-2_0", "Lovelace")], "N:Byron;Ada;;;\r\nFN:Ada Byron", "N:Lovelace;Ada;;;\r\nFN:Ada Lovelace"),
            // What is not the card's is nothing.
            (&[("TEL-99", "x"), ("X-FIRST-1", "y"), ("FN-new", "z"), ("N-new_0", "z")], "", ""),
        ] {
            assert_eq!(applied(fields), CARD.replacen(before, after, usize::from(before != after)), "{fields:?}");
        }
    }

    #[test]
    fn what_the_form_does_not_know_is_shown_and_stays() {
        let rest = rest(CARD.as_bytes());
        let text = |name: &str, text: &str| Rest::Text(name.to_owned(), text.to_owned());
        let expected = [
            text("X-FIRST", "stays"),
            text("X-ABLABEL", "boat"),
            text("CATEGORIES", "a,b"),
            Rest::Binary("PHOTO".to_owned(), 5),
        ];
        assert_eq!(rest, expected);
        let all: Vec<_> = filled(CARD.as_bytes()).iter().map(|(id, _)| (id.to_owned(), format!("new {id}"))).collect();
        let edited = apply(CARD.as_bytes(), &all.into_iter().collect()).unwrap();
        assert_eq!(super::rest(&edited), expected);
    }

    #[test]
    fn a_new_card_has_a_name_to_be_shown_under() {
        for (fields, lines) in [
            (&[("N-new_0", "王"), ("N-new_1", "小明")][..], &["N:王;小明;;;", "FN:王小明"][..]),
            (&[("N-new_1", "Bo"), ("N-new_0", "Ek")], &["N:Ek;Bo;;;", "FN:Bo Ek"]),
            (&[("TEL-new", "1234")], &["TEL:1234", "FN:1234", "N:;;;;"]),
            (&[("FN-new", "Shop")], &["FN:Shop"]),
        ] {
            let card = String::from_utf8(apply(&blank(), &form(fields)).unwrap()).unwrap();
            for line in lines {
                assert!(card.lines().any(|it| it == *line), "{line} in {card}");
            }
        }
        assert_eq!(apply(&blank(), &form(&[("TEL-new", "  ")])).unwrap(), blank());
    }
}
