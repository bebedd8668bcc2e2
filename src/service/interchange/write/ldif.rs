//! LDIF (RFC 2849).

use crate::contact::card::Card;
use crate::contact::identity::identify_card;
use crate::service::interchange::cells::{LeftOut, cells};
use crate::service::interchange::layout::Layout;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Octets in a line.
const FOLD: usize = 76;

pub(super) fn write(card: &Card<'_>, layout: &Layout, left: &mut LeftOut) -> String {
    let cells = cells(card, layout, left);
    let said: Vec<_> = layout.columns.iter().zip(cells).filter(|(_, text)| !text.is_empty()).collect();
    let mut out = String::from("\n");
    let name = identify_card(card).label.unwrap_or_default();
    let mail =
        said.iter().find(|(column, _)| column.names[0] == "mail").map(|(_, text)| format!(",mail={}", escaped(text)));
    line(&mut out, "dn", &format!("cn={}{}", escaped(&name), mail.unwrap_or_default()));
    for class in ["top", "person", "organizationalPerson", "inetOrgPerson", "mozillaAbPersonAlpha"] {
        line(&mut out, "objectclass", class);
    }
    // Of a person both are demanded (RFC 4519 §3.12).
    let has = |name: &str| said.iter().any(|(column, _)| column.names[0] == name);
    if !has("cn") {
        line(&mut out, "cn", &name);
    }
    if !has("sn") {
        line(&mut out, "sn", &name);
    }
    for (column, text) in &said {
        line(&mut out, &column.names[0], text);
    }
    out
}

/// A value within a name (RFC 4514 §2.4).
fn escaped(text: &str) -> String {
    let mut out = String::new();
    for char in text.trim().chars() {
        if ",+\"\\<>;=#".contains(char) {
            out.push('\\');
        }
        out.push(if char.is_control() { ' ' } else { char });
    }
    out
}

fn line(out: &mut String, name: &str, text: &str) {
    let begins = text.starts_with([' ', ':', '<']) || text.ends_with(' ');
    let safe = !begins && text.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ');
    let line = if safe { format!("{name}: {text}") } else { format!("{name}:: {}", STANDARD.encode(text)) };
    // All of it is ASCII.
    let (mut rest, mut room) = (line.as_str(), FOLD);
    while rest.len() > room {
        let (head, tail) = rest.split_at(room);
        out.push_str(head);
        out.push_str("\n ");
        (rest, room) = (tail, FOLD - 1);
    }
    out.push_str(rest);
    out.push('\n');
}
