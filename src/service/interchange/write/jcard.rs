//! jCard (RFC 7095): a card of version 4.0 as JSON.

use crate::contact::card::{Card, Property, PropertyBuf, Value as CardValue, Version, convert};
use crate::service::interchange::error::{InterchangeError, Limits, Result};
use serde_json::{Map, Value, json};

/// How a list begins and ends.
pub(super) const BEGIN: &str = "[";
pub(super) const END: &str = "\n]\n";

/// What a list may still have: no more than is read again, as a whole.
pub(super) struct Room {
    left: usize,
    most: usize,
}

impl Room {
    pub(super) const fn new(limits: Limits) -> Self {
        Self { left: limits.whole.saturating_sub(BEGIN.len() + END.len()), most: limits.whole }
    }

    pub(super) fn take(&mut self, bytes: usize) -> Result<()> {
        let most = self.most;
        self.left = self.left.checked_sub(bytes).ok_or_else(|| {
            let what = format!("a list of jCards has at most {most} bytes; choose contacts, or another kind of file");
            InterchangeError::Unusable(what)
        })?;
        Ok(())
    }
}

pub(super) fn write(card: &Card<'_>) -> Result<String> {
    let converted = convert(card, Version::V4_0);
    let card = Card::parse(&converted).map_err(|error| InterchangeError::Unusable(error.to_string()))?;
    let mut properties = vec![json!(["version", {}, "text", "4.0"])];
    properties.extend(card.properties().iter().filter(|it| !it.is("VERSION")).map(property));
    Ok(json!(["vcard", properties]).to_string())
}

fn property(property: &Property<'_>) -> Value {
    let mut params = Map::new();
    for param in property.params() {
        if ["VALUE", "ENCODING", "CHARSET"].iter().any(|name| param.is(name)) {
            continue;
        }
        let mut values: Vec<Value> = param.values().map(|value| Value::String(value.into_owned())).collect();
        match params.get_mut(&param.name().to_lowercase()) {
            Some(Value::Array(known)) => known.append(&mut values),
            Some(one) => {
                values.insert(0, one.take());
                *one = Value::Array(values);
            }
            None => {
                let value = if values.len() == 1 { values.swap_remove(0) } else { Value::Array(values) };
                params.insert(param.name().to_lowercase(), value);
            }
        }
    }
    if let Some(group) = property.group() {
        params.insert("group".to_owned(), Value::String(group.to_owned()));
    }
    let owned = PropertyBuf::from(property);
    let (kind, values) = match owned.value() {
        CardValue::Text(text) => {
            let (kind, text) = text_of(property, text);
            (kind, vec![Value::String(text)])
        }
        // One component is a text (§3.3.1.3).
        CardValue::Structured(parts) if parts.len() == 1 && parts[0].len() == 1 => {
            let kind = if property.name().starts_with(['X', 'x']) { "unknown" } else { "text" };
            (kind, vec![Value::String(parts[0][0].clone())])
        }
        CardValue::Structured(parts) => {
            let part = |items: &Vec<String>| match &items[..] {
                [] => Value::String(String::new()),
                [one] => Value::String(one.clone()),
                several => json!(several),
            };
            ("text", vec![Value::Array(parts.iter().map(part).collect())])
        }
        CardValue::List(items) => ("text", items.iter().map(|item| Value::String(item.clone())).collect()),
        CardValue::Binary { media_type, base64 } => {
            let media_type = media_type.as_deref().unwrap_or("application/octet-stream");
            ("uri", vec![Value::String(format!("data:{media_type};base64,{base64}"))])
        }
    };
    let mut out =
        vec![Value::String(property.name().to_lowercase()), Value::Object(params), Value::String(kind.to_owned())];
    out.extend(values);
    Value::Array(out)
}

/// The type of a value (§3.5), and the text as JSON has it: dates are written out.
fn text_of(property: &Property<'_>, text: &str) -> (&'static str, String) {
    let is = |names: &[&str]| names.iter().any(|name| property.is(name));
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    if is(&["BDAY", "ANNIVERSARY"]) {
        let bare = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
        return match (bare, text.len(), digits) {
            (true, 8, 8) => ("date", format!("{}-{}-{}", &text[..4], &text[4..6], &text[6..])),
            (true, 6, 4) if text.starts_with("--") => ("date", format!("--{}-{}", &text[2..4], &text[4..])),
            (true, ..) => ("date", text.to_owned()),
            _ => ("text", text.to_owned()),
        };
    }
    if is(&["URL", "IMPP", "PHOTO", "LOGO", "SOUND", "KEY", "MEMBER", "SOURCE", "FBURL", "CALURI", "CALADRURI"]) {
        return ("uri", text.to_owned());
    }
    if is(&["REV"]) {
        return ("timestamp", text.to_owned());
    }
    (if property.name().starts_with(['X', 'x']) { "unknown" } else { "text" }, text.to_owned())
}
