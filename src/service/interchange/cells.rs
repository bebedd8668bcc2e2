//! From a card to the cells of a layout, and what of it has no place there.

use super::field::{Field, KNOWN, Part, What};
use super::kind::Kind;
use super::layout::{Column, Dates, Layout};
use super::record::{COLUMN, COLUMN_NAME, DERIVED};
use crate::contact::card::{Card, CardBuilder, Property, PropertyBuf, Version, convert};
use crate::contact::identity::fingerprint;
use std::collections::{BTreeMap, HashMap};

/// What had no place in an export: of which property how many. Never empty without a loss, and never a loss without it.
pub type LeftOut = BTreeMap<String, u64>;

/// The cells of a card in the columns of a layout; a field that it lacks leaves its place blank (mission I3). What has no place
/// is counted.
pub(super) fn cells(card: &Card<'_>, layout: &Layout, left: &mut LeftOut) -> Vec<String> {
    let spelt;
    let converted;
    // Dates, preferences and names in one spelling.
    let card = if card.version() == Version::V3_0 {
        card
    } else {
        spelt = convert(card, Version::V3_0);
        match Card::parse(&spelt) {
            Ok(card) => {
                converted = card;
                &converted
            }
            Err(_) => card,
        }
    };
    let mut left_here = Vec::new();
    let places = Places::of(card, layout, &mut left_here);
    let text = |column: &Column| {
        let mut out = String::new();
        let mut below = false;
        for (at, field) in column.fields.iter().enumerate() {
            below |= column.below.contains(&at);
            let text = places.text(field, layout.dates).unwrap_or_default();
            if !text.is_empty() {
                if !out.is_empty() {
                    out.push(if below { '\n' } else { ' ' });
                }
                out.push_str(&text);
                below = false;
            }
        }
        out
    };
    let cells = layout.columns.iter().map(text).collect();
    for what in left_here {
        *left.entry(what).or_default() += 1;
    }
    cells
}

/// Which property of a card is in which place of a layout.
struct Places<'c, 'a> {
    card: &'c Card<'a>,
    at: HashMap<(What, Kind, u16), &'c Property<'a>>,
}

impl<'c, 'a> Places<'c, 'a> {
    fn of(card: &'c Card<'a>, layout: &Layout, left: &mut Vec<String>) -> Self {
        let mut slots: Vec<(What, Kind, u16)> = Vec::new();
        let mut parts: HashMap<(What, Kind, u16), Vec<Part>> = HashMap::new();
        for field in layout.columns.iter().flat_map(|column| &column.fields) {
            let slot = (field.what.clone(), field.kind, field.nth);
            if !slots.contains(&slot) {
                slots.push(slot.clone());
            }
            parts.entry(slot).or_default().push(field.part);
        }
        let holds = |slot: &(What, Kind, u16), part| parts.get(slot).is_some_and(|parts| parts.contains(&part));
        let mut places = Self { card, at: HashMap::new() };
        let told: Vec<&Property<'_>> = card.properties().iter().filter(|it| !it.is_empty() && !is_silent(it)).collect();
        // First those whose kind has a place, then what is left wherever any kind may be.
        let mut waiting = Vec::new();
        for property in &told {
            let Some(what) = what(property) else {
                left.push(name(property));
                continue;
            };
            let kind = kind(&what, property);
            let free = slots.iter().find(|slot| slot.0 == what && slot.1 == kind && !places.at.contains_key(*slot));
            match free {
                Some(slot) if kind != Kind::Any => {
                    places.at.insert(slot.clone(), property);
                }
                _ => waiting.push((what, kind, *property)),
            }
        }
        let names = slots.iter().any(|slot| matches!(slot.0, What::Known(at) if KNOWN[at].property == "FN"));
        for (what, kind, property) in waiting {
            // What was only added because a version demands it says nothing beside the name it is made of.
            if names && property.is("N") && property.param(DERIVED).is_some() {
                continue;
            }
            let free =
                |slot: &&(What, Kind, u16)| slot.0 == what && slot.1 == Kind::Any && !places.at.contains_key(*slot);
            match slots.iter().find(free) {
                Some(slot) => {
                    if kind != Kind::Any && !holds(slot, Part::Label) {
                        left.push(format!("{} TYPE", property.name().to_ascii_uppercase()));
                    }
                    places.at.insert(slot.clone(), property);
                }
                None if property.is("FN") && says_n(card, property) => {}
                None => left.push(name(property)),
            }
        }
        places.told_partly(&slots, &parts, left);
        places
    }

    /// Components and kinds without a column.
    fn told_partly(
        &self,
        slots: &[(What, Kind, u16)],
        parts: &HashMap<(What, Kind, u16), Vec<Part>>,
        left: &mut Vec<String>,
    ) {
        for slot in slots {
            let (Some(property), Some(held)) = (self.at.get(slot), parts.get(slot)) else { continue };
            let name = property.name().to_ascii_uppercase();
            if let What::Known(at) = &slot.0
                && !KNOWN[*at].parts.is_empty()
                && KNOWN[*at].property != "BDAY"
                && !held.contains(&Part::Whole)
            {
                for (at, text) in property.components().iter().enumerate() {
                    if !text.trim().is_empty() && !held.contains(&Part::Component(at)) {
                        let part = KNOWN.iter().find(|it| it.property == name).and_then(|it| it.parts.get(at));
                        left.push(format!("{name} {}", part.unwrap_or(&"more")));
                    }
                }
            }
            if slot.1.leaves_out(property) && !held.contains(&Part::Label) && kind(&slot.0, property) == slot.1 {
                left.push(format!("{name} TYPE"));
            }
            if self.label(property).is_some() && !held.contains(&Part::Label) {
                left.push("X-ABLABEL".to_owned());
            }
        }
    }

    fn label(&self, property: &Property<'_>) -> Option<String> {
        let group = property.group()?;
        let mut labels = self.card.all("X-ABLabel");
        let label = labels.find(|it| it.group().is_some_and(|it| it.eq_ignore_ascii_case(group)))?.text();
        // Apple writes its own as _$!<Home>!$_.
        let bare = label.trim().trim_start_matches("_$!<").trim_end_matches(">!$_").to_owned();
        Some(bare).filter(|bare| !bare.is_empty())
    }

    fn text(&self, field: &Field, dates: Dates) -> Option<String> {
        let property = *self.at.get(&(field.what.clone(), field.kind, field.nth))?;
        let name = field.property();
        Some(match field.part {
            Part::Label => self.label(property).unwrap_or_else(|| kind(&field.what, property).label().to_owned()),
            Part::Component(part) if name == "BDAY" => {
                let date = property.text();
                let pieces: Vec<&str> = date.split(['-', 'T']).filter(|it| !it.is_empty()).collect();
                let from = if date.starts_with("--") { part.checked_sub(1)? } else { part };
                pieces.get(from).map(|it| (*it).to_owned()).unwrap_or_default()
            }
            Part::Component(part) => {
                property.components().get(part).map(|text| text.trim().to_owned()).unwrap_or_default()
            }
            Part::Whole if matches!(name, "BDAY" | "ANNIVERSARY") => spelt(&property.text(), dates),
            Part::Whole if matches!(name, "CATEGORIES") => property.list().join(";"),
            Part::Whole if field.known().is_some_and(|known| !known.parts.is_empty()) => {
                let parts = property.components().into_iter().map(|part| part.trim().to_owned());
                parts.filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", ")
            }
            Part::Whole => property.text().trim().to_owned(),
        })
    }
}

/// Properties that say nothing about the contact, and labels, which are told with what they label.
fn is_silent(property: &Property<'_>) -> bool {
    ["VERSION", "PRODID", "REV", "X-ABLabel"].iter().any(|name| property.is(name))
}

fn name(property: &Property<'_>) -> String {
    if property.is(COLUMN) {
        return property.param(COLUMN_NAME).map_or_else(|| COLUMN.to_owned(), |column| format!("{COLUMN} {column}"));
    }
    property.name().to_ascii_uppercase()
}

/// Which property of the fields it is; pictures and the like are none.
fn what(property: &Property<'_>) -> Option<What> {
    let bare = property.name();
    let own = bare.get(2..).filter(|_| bare.get(..2).is_some_and(|it| it.eq_ignore_ascii_case("X-")));
    let is = |name: &str| KNOWN.iter().position(|known| known.property.eq_ignore_ascii_case(name));
    match is(bare).or_else(|| own.and_then(is)) {
        Some(at) => Some(What::Known(at)),
        None if property.is(COLUMN) => property.param(COLUMN_NAME).map(|name| What::Column(name.into_owned())),
        None => own.map(|_| What::Extension(bare.to_ascii_uppercase())),
    }
}

fn kind(what: &What, property: &Property<'_>) -> Kind {
    match what {
        What::Known(at) if KNOWN[*at].kinds => Kind::of(property),
        _ => Kind::Any,
    }
}

/// Whether FN only repeats N.
fn says_n(card: &Card<'_>, full: &Property<'_>) -> bool {
    let Some(n) = card.all("N").find(|n| !n.is_empty()) else { return false };
    let with = |properties: &[&Property<'_>]| {
        let mut built = CardBuilder::new(Version::V3_0);
        properties.iter().for_each(|it| built.push(&PropertyBuf::from(*it)));
        Card::parse(&built.build()).map(|card| fingerprint(&card)).ok()
    };
    with(&[n]) == with(&[n, full])
}

/// A date in the order of a layout.
fn spelt(text: &str, dates: Dates) -> String {
    let date = super::record::date(text, Dates::Iso);
    let compact = date.len() == 8 && date.bytes().all(|byte| byte.is_ascii_digit());
    let date = if compact { format!("{}-{}-{}", &date[..4], &date[4..6], &date[6..]) } else { date };
    let parts: Vec<&str> = date.split('-').collect();
    match (&parts[..], dates) {
        ([year, month, day], Dates::Mdy) if is_number(year) && is_number(day) => format!("{month}/{day}/{year}"),
        ([year, month, day], Dates::Dmy) if is_number(year) && is_number(day) => format!("{day}/{month}/{year}"),
        _ => date,
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::{LeftOut, cells};
    use crate::contact::card::Card;
    use crate::service::interchange::Layout;

    fn shown(layout: &str, lines: &str) -> (String, String) {
        let card = format!("BEGIN:VCARD\r\nVERSION:3.0\r\n{}\r\nEND:VCARD\r\n", lines.replace('\n', "\r\n"));
        let layout = Layout::named(layout).unwrap();
        let mut left = LeftOut::new();
        let found = cells(&Card::parse(card.as_bytes()).unwrap(), &layout, &mut left);
        let named = layout.columns.iter().zip(found).filter(|(_, text)| !text.is_empty());
        let named: Vec<_> = named.map(|(column, text)| format!("{}={text}", column.names[0])).collect();
        let left: Vec<_> = left.into_iter().map(|(name, count)| format!("{name}*{count}")).collect();
        (named.join(" "), left.join(" "))
    }

    #[test]
    fn i3_a_card_is_in_its_places_and_what_has_none_is_told() {
        for (layout, card, wanted, left) in [
            (
                "outlook",
                "N:Doe;Ann;;;\nFN:Ann Doe\nTEL;TYPE=CELL:1\nTEL;TYPE=WORK,VOICE:2\nTEL:3\nBDAY:1990-02-03",
                "First Name=Ann Last Name=Doe Business Phone=2 Mobile Phone=1 Other Phone=3 Birthday=02/03/1990",
                "",
            ),
            (
                "outlook",
                "N:Doe;Ann;;;\nFN:Captain\nTEL;TYPE=CELL:1\nTEL;TYPE=CELL:2\nPHOTO;ENCODING=b:aGVs\nX-HOBBY:chess",
                "First Name=Ann Last Name=Doe Mobile Phone=1 Other Phone=2",
                "FN*1 PHOTO*1 TEL TYPE*1 X-HOBBY*1",
            ),
            (
                "google",
                "FN:Ann\nTEL;TYPE=WORK,FAX:1\nitem1.TEL:2\nitem1.X-ABLabel:Boat\nADR;TYPE=HOME:;;Weg 1;Bonn;;53111;",
                "Name=Ann Phone 1 - Label=Work Fax Phone 1 - Value=1 Phone 2 - Label=Boat Phone 2 - Value=2 \
                 Address 1 - Label=Home Address 1 - Street=Weg 1 Address 1 - City=Bonn Address 1 - Postal Code=53111",
                "",
            ),
            (
                "phone",
                "FN:王小明\nADR;TYPE=HOME:;;长安街;北京;;;\nNOTE:a\\nb",
                "Name=王小明 Address=长安街 Note=a\nb",
                "ADR city*1",
            ),
            ("thunderbird", "FN:A\nBDAY:--02-03", "Display Name=A Birth Month=02 Birth Day=03", ""),
        ] {
            assert_eq!(shown(layout, card), (wanted.to_owned(), left.to_owned()), "{layout}");
        }
    }
}
