//! From one version to another and back.
//!
//! [`read`] brings a property into a form of no version, [`spelling`] gives it the spelling of one. What a version
//! cannot say travels as `X-…` and is restored on the way back (field note 22).

use std::borrow::Cow;

use super::names::{Shape, canonical_name, canonical_param, shape};
use super::write::{DERIVED, clean, is_internal_param, unpack};
use super::{Card, Property, PropertyBuf, Value, Version};

/// Carries a preference other than 1 where only "preferred" can be said.
const PREFERENCE: &str = "X-PREF";
/// Apple's mark of a date without year (field note 21), and the year it uses.
const OMIT_YEAR: &str = "X-APPLE-OMIT-YEAR";
const NO_YEAR: &str = "1604";

/// The card in another version. N (2.1, 3.0) and FN (3.0, 4.0) are added where missing and taken away again on the way
/// back; junk between properties is dropped. A card of that version already is returned as it is.
pub fn convert(card: &Card<'_>, version: Version) -> Vec<u8> {
    if card.version() == version {
        return card.as_bytes().to_vec();
    }
    let line_break = b"\r\n";
    let mut out = Vec::with_capacity(card.body().len() + card.body().len() / 4);
    for part in [b"BEGIN:VCARD", &line_break[..], b"VERSION:", version.as_str().as_bytes(), line_break] {
        out.extend_from_slice(part);
    }
    let kept = |property: &&Property<'_>| !property.is("VERSION") && !is_derived(card, property);
    let (mut has_n, mut has_fn) = (false, false);
    for property in card.properties().iter().filter(kept) {
        has_n |= property.is("N");
        has_fn |= property.is("FN");
        read(property).write_to(&mut out, version, line_break);
    }
    if !has_fn && version != Version::V2_1 {
        derived(PropertyBuf::text("FN", name_for(card))).write_to(&mut out, version, line_break);
    }
    if !has_n && version != Version::V4_0 {
        let name = name_for(card);
        derived(PropertyBuf::components("N", [&*name, "", "", "", ""])).write_to(&mut out, version, line_break);
    }
    out.extend_from_slice(b"END:VCARD");
    out.extend_from_slice(line_break);
    out
}

fn derived(property: PropertyBuf) -> PropertyBuf {
    property.param(DERIVED, "1")
}

/// Was this N or FN only added because a version demanded it? Not if somebody changed it since.
pub(in crate::contact) fn is_derived(card: &Card<'_>, property: &Property<'_>) -> bool {
    if !(property.is("N") || property.is("FN")) || property.param(DERIVED).is_none() {
        return false;
    }
    let other = match property.is("N") {
        true => said(card, "FN"),
        false => card.all("N").find(|n| !n.is_empty()).map(|n| Cow::Owned(render_name(&n.components()))),
    };
    let own = if property.is("N") { render_name(&property.components()) } else { property.text().into_owned() };
    let wanted = other.or_else(|| stand_in(card)).unwrap_or_default();
    own.trim() == wanted.trim()
}

/// What a card without FN or N is called.
fn name_for(card: &Card<'_>) -> String {
    if let Some(n) = card.all("N").find(|n| !n.is_empty() && !n.is_binary()) {
        return render_name(&n.components());
    }
    said(card, "FN").or_else(|| stand_in(card)).map(Cow::into_owned).unwrap_or_default()
}

fn said<'c>(card: &'c Card<'_>, name: &str) -> Option<Cow<'c, str>> {
    card.properties().iter().find(|it| it.is(name) && !it.is_empty() && !it.is_binary()).map(Property::text)
}

/// What a card without any name is listed under, in the order in which it is looked for.
const STAND_INS: [&str; 4] = ["NICKNAME", "ORG", "EMAIL", "TEL"];

/// What a card without any name is listed under.
pub(in crate::contact) fn stand_in<'c>(card: &'c Card<'_>) -> Option<Cow<'c, str>> {
    STAND_INS.iter().find_map(|name| said(card, name)).map(without_scheme)
}

/// What it is listed under in whatever order its properties stand, of nicknames each.
pub(in crate::contact) fn stand_ins(card: &Card<'_>) -> Vec<String> {
    let Some(name) = STAND_INS.iter().find(|name| said(card, name).is_some()) else { return Vec::new() };
    let said = card.properties().iter().filter(|it| it.is(name) && !it.is_empty() && !it.is_binary());
    let said = said.map(|it| without_scheme(it.text()));
    if *name == "NICKNAME" {
        return said.flat_map(|it| it.split(',').map(|it| it.trim().to_owned()).collect::<Vec<_>>()).collect();
    }
    said.map(|it| it.trim().to_owned()).collect()
}

fn without_scheme(text: Cow<'_, str>) -> Cow<'_, str> {
    let scheme = text.get(..4).is_some_and(|scheme| scheme.eq_ignore_ascii_case("tel:"));
    if scheme { Cow::Owned(text[4..].to_owned()) } else { text }
}

/// Components of N (family, given, additional, prefix, suffix) in the order one says them.
pub(in crate::contact) fn render_name(components: &[impl AsRef<str>]) -> String {
    let mut out = String::new();
    for at in [3, 1, 2, 0, 4] {
        let Some(part) = components.get(at).map(|part| part.as_ref().trim()).filter(|part| !part.is_empty()) else {
            continue;
        };
        out.push_str(if out.is_empty() { "" } else { " " });
        out.push_str(part);
    }
    out
}

/// Brings a property into a form of no version.
pub(super) fn read(property: &Property<'_>) -> PropertyBuf {
    let mut name = canonical_name(property.name());
    if name == "GENDER" && !property.is("GENDER") && !is_gender(&property.text()) {
        name = property.name();
    }
    let mut out = PropertyBuf::text(name, "");
    if name == property.name() {
        // PropertyBuf::new would resolve the X- again.
        out.name = name.to_owned();
    }
    out.group = property.group().map(str::to_owned);
    let shape = shape(name);
    read_params(property, shape, &mut out);
    out.value = read_value(property, shape, &mut out.params);
    out
}

fn read_params(property: &Property<'_>, shape: Shape, out: &mut PropertyBuf) {
    for param in property.params() {
        // By the name that will be written: junk in it must not turn one parameter into another.
        let written = clean(param.name());
        if is_internal_param(&written) {
            continue;
        }
        let is = |wanted: &str| written.eq_ignore_ascii_case(wanted);
        for value in param.values() {
            if let Some((name, value)) = unpack(&written, &value) {
                if !is_internal_param(&name) {
                    out.params.push((canonical_param(&name).to_ascii_uppercase(), value));
                }
            } else if is("TYPE") && value.eq_ignore_ascii_case("PREF") {
                push_preference(&mut out.params, "1");
            } else if is("PREF") || is(PREFERENCE) {
                out.params.retain(|(name, _)| name != "PREF");
                push_preference(&mut out.params, &value);
            } else if is("VALUE") && shape == Shape::Binary {
                // Data or reference: the value itself says it.
            } else {
                out.params.push((canonical_param(&written).to_ascii_uppercase(), value.into_owned()));
            }
        }
    }
}

fn push_preference(params: &mut Vec<(String, String)>, value: &str) {
    if !params.iter().any(|(name, _)| name == "PREF") {
        params.push(("PREF".to_owned(), value.to_owned()));
    }
}

fn read_value(property: &Property<'_>, shape: Shape, params: &mut Vec<(String, String)>) -> Value {
    if let Some((media_type, base64)) = property.base64() {
        let base64 = String::from_utf8_lossy(&base64).into_owned();
        let media_type = media_type.or_else(|| take_media_type(property.name(), params));
        return Value::Binary { media_type, base64 };
    }
    let text = match shape {
        Shape::Structured | Shape::Unknown => return read_structure(property),
        Shape::List => return Value::List(property.list()),
        _ => property.text().into_owned(),
    };
    match shape {
        Shape::Phone => {
            let says = |rest: &str| rest.chars().any(|char| !char.is_whitespace() && !matches!(char, ';' | ','));
            // A scheme with nothing behind it is all that is said.
            if let Some(number) = text.get(..4).filter(|scheme| scheme.eq_ignore_ascii_case("tel:"))
                && says(&text[number.len()..])
            {
                params.retain(|(name, value)| !(name == "VALUE" && value.eq_ignore_ascii_case("uri")));
                return Value::Text(text[number.len()..].to_owned());
            }
        }
        Shape::Date => {
            if let Some(at) = params.iter().position(|(name, _)| name.eq_ignore_ascii_case(OMIT_YEAR))
                && let Some(rest) = text.strip_prefix(params[at].1.as_str())
                && rest
                    .split(['T', 't'])
                    .next()
                    .is_some_and(|day| day.bytes().all(|it| it.is_ascii_digit() || it == b'-'))
            {
                let rest = rest.replace('-', "");
                params.remove(at);
                return Value::Text(format!("--{rest}"));
            }
        }
        Shape::Geo => {
            let point = text.strip_prefix("geo:").unwrap_or(&text);
            if let Some((latitude, longitude)) = point.split_once([',', ';'])
                && [latitude, longitude].iter().all(|it| it.trim().parse::<f64>().is_ok())
            {
                let part = |text: &str| vec![text.trim().to_owned()];
                return Value::Structured(vec![part(latitude), part(longitude)]);
            }
        }
        _ => {}
    }
    Value::Text(text)
}

fn read_structure(property: &Property<'_>) -> Value {
    Value::Structured(property.structure())
}

/// `GENDER` is `M`, `F`, `O`, `N`, `U` or nothing, then a text (RFC 6350 §6.2.7); `X-GENDER:Male` is something else.
fn is_gender(text: &str) -> bool {
    matches!(text.split(';').next().unwrap_or_default(), "" | "M" | "F" | "O" | "N" | "U")
}

/// The media type in TYPE (`JPEG`, 2.1 and 3.0) or MEDIATYPE.
fn take_media_type(property: &str, params: &mut Vec<(String, String)>) -> Option<String> {
    if let Some(at) = params.iter().position(|(name, _)| name == "MEDIATYPE") {
        return Some(params.remove(at).1);
    }
    let is_place = |value: &str| ["HOME", "WORK", "INTERNET"].iter().any(|it| it.eq_ignore_ascii_case(value));
    let at = params.iter().position(|(name, value)| name == "TYPE" && !is_place(value))?;
    let subtype = params.remove(at).1.to_ascii_lowercase();
    Some(if subtype.contains('/') { subtype } else { format!("{}{subtype}", media_prefix(property)) })
}

fn media_prefix(property: &str) -> &'static str {
    match () {
        () if property.eq_ignore_ascii_case("SOUND") => "audio/",
        () if property.eq_ignore_ascii_case("KEY") => "application/",
        () => "image/",
    }
}

/// Gives a property the spelling of a version, all but escapes and transfer encoding.
pub(super) fn spelling(property: &PropertyBuf, version: Version) -> Cow<'_, PropertyBuf> {
    let mut out = Cow::Borrowed(property);
    if property.params.iter().any(|(name, _)| name == "PREF") && version != Version::V4_0 {
        let this = out.to_mut();
        for (name, value) in &mut this.params {
            if name == "PREF" && value == "1" {
                (*name, *value) = ("TYPE".to_owned(), "PREF".to_owned());
            } else if name == "PREF" {
                *name = PREFERENCE.to_owned();
            }
        }
    }
    if version == Version::V4_0 && property.params.iter().any(|(name, _)| name == "TYPE") {
        for (name, value) in &mut out.to_mut().params {
            if name == "TYPE" {
                value.make_ascii_lowercase();
            }
        }
    }
    match (&property.value, shape(&property.name)) {
        (Value::Binary { media_type: Some(media), base64 }, _) if version != Version::V4_0 => {
            let value = Value::Binary { media_type: None, base64: base64.clone() };
            let param = match media.strip_prefix(media_prefix(&property.name)) {
                Some(subtype) if !subtype.is_empty() => ("TYPE".to_owned(), subtype.to_ascii_uppercase()),
                _ => ("MEDIATYPE".to_owned(), media.clone()),
            };
            let this = out.to_mut();
            this.params.push(param);
            this.value = value;
        }
        (Value::Text(_), Shape::Binary) if version != Version::V4_0 => {
            let kind = if version == Version::V2_1 { "URL" } else { "uri" };
            out.to_mut().params.push(("VALUE".to_owned(), kind.to_owned()));
        }
        (Value::Text(text), Shape::Date) => {
            if let Some((text, year)) = spell_date(text, version) {
                let this = out.to_mut();
                this.params.extend(year.map(|year| (OMIT_YEAR.to_owned(), year.to_owned())));
                this.value = Value::Text(text);
            }
        }
        (Value::Structured(parts), Shape::Geo) if version == Version::V4_0 => {
            let text = format!("geo:{}", parts.concat().join(","));
            out.to_mut().value = Value::Text(text);
        }
        _ => {}
    }
    out
}

/// Dates without separators in 4.0 (RFC 6350 §4.3); a date without year as Apple writes it before 4.0.
fn spell_date(text: &str, version: Version) -> Option<(String, Option<&'static str>)> {
    if version != Version::V4_0 {
        let day = text.strip_prefix("--").filter(|day| day.len() == 4 && day.bytes().all(|it| it.is_ascii_digit()))?;
        return Some((format!("{NO_YEAR}-{}-{}", &day[..2], &day[2..]), Some(NO_YEAR)));
    }
    let (date, time) = text.split_once('T').map_or((text, None), |(date, time)| (date, Some(time)));
    let bytes = date.as_bytes();
    let extended = bytes.len() == 10
        && bytes
            .iter()
            .enumerate()
            .all(|(at, byte)| if at == 4 || at == 7 { *byte == b'-' } else { byte.is_ascii_digit() });
    if !extended {
        return None;
    }
    let mut out = date.replace('-', "");
    if let Some(time) = time {
        out.push('T');
        out.push_str(&time.replace(':', ""));
    }
    Some((out, None))
}
