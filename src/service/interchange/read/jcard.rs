//! jCard (RFC 7095).

use super::Entry;
use crate::contact::card::{Card, CardBuilder, PropertyBuf, Value as CardValue, Version, convert};
use crate::service::interchange::error::{InterchangeError, Result};
use serde_json::Value;

/// The cards of a document: one, a list of them, or one after the other.
pub(super) fn read(text: &str) -> Result<Vec<Result<Entry>>> {
    let mut found = Vec::new();
    let mut documents = serde_json::Deserializer::from_str(text).into_iter::<Value>();
    loop {
        let line = text[..documents.byte_offset()].bytes().filter(|byte| *byte == b'\n').count() as u64 + 1;
        match documents.next() {
            None => break,
            Some(Err(error)) => {
                let what = format!("it is no JSON ({:?} error)", error.classify());
                return Err(InterchangeError::broken(error.line() as u64, what));
            }
            Some(Ok(document)) => match document.as_array().and_then(|list| list.first()) {
                Some(Value::String(kind)) if kind.eq_ignore_ascii_case("vcard") => found.push(card(&document, line)),
                _ => {
                    let cards = document.as_array().into_iter().flatten();
                    found.extend(cards.map(|it| card(it, line)));
                }
            },
        }
    }
    if found.is_empty() {
        return Err(InterchangeError::Unusable("there is no jCard in it".to_owned()));
    }
    Ok(found)
}

fn card(value: &Value, line: u64) -> Result<Entry> {
    let wrong = || InterchangeError::record(line, "it is no jCard");
    let properties = match value.as_array().map(Vec::as_slice) {
        Some([Value::String(kind), Value::Array(properties), ..]) if kind.eq_ignore_ascii_case("vcard") => properties,
        _ => return Err(wrong()),
    };
    let mut built = CardBuilder::new(Version::V4_0);
    for property in properties {
        let property = property.as_array().map(Vec::as_slice).ok_or_else(wrong)?;
        let [Value::String(name), Value::Object(params), Value::String(kind), values @ ..] = property else {
            return Err(wrong());
        };
        if name.eq_ignore_ascii_case("version") || values.is_empty() {
            continue;
        }
        let mut out = PropertyBuf::new(&name.to_ascii_uppercase(), value_of(kind, values));
        for (key, value) in params {
            let texts: Vec<String> = match value {
                Value::Array(all) => all.iter().map(text_of).collect(),
                one => vec![text_of(one)],
            };
            for text in texts {
                out = if key.eq_ignore_ascii_case("group") {
                    out.group(&text)
                } else {
                    out.param(&key.to_ascii_uppercase(), text)
                };
            }
        }
        if kind == "text" && name.eq_ignore_ascii_case("bday") {
            out = out.param("VALUE", "text");
        }
        built.push(&out);
    }
    let built = built.build();
    let card = Card::parse(&built).map_err(|error| InterchangeError::record(line, error.to_string()))?;
    Ok(Entry { line, card: convert(&card, Version::V3_0) })
}

fn value_of(kind: &str, values: &[Value]) -> CardValue {
    match values {
        [Value::Array(parts)] => CardValue::Structured(
            parts
                .iter()
                .map(|part| match part {
                    Value::Array(items) => items.iter().map(text_of).collect(),
                    one => vec![text_of(one)],
                })
                .collect(),
        ),
        [one] => {
            let text = text_of(one);
            // §3.5.4: dates are written out in JSON.
            CardValue::Text(if kind.starts_with("date") {
                text.replace('-', "").replacen("", dashes(&text), 1)
            } else {
                text
            })
        }
        several => CardValue::List(several.iter().map(text_of).collect()),
    }
}

/// The dashes that stand for what a date does not say stay.
fn dashes(text: &str) -> &'static str {
    if text.starts_with("---") {
        "---"
    } else if text.starts_with("--") {
        "--"
    } else {
        ""
    }
}

fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}
