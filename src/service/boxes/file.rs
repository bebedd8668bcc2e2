//! Files as they travel: file data objects of OMA DS 1.2 (`application/vnd.omads-file+xml`).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::borrow::Cow;
use std::fmt;

/// A file with what is known of it. The element `name` has its path on the device, which tells it from others of its
/// application; it comes first, since names are looked for at an object's beginning.
#[derive(Clone, PartialEq, Eq)]
pub struct FileObject {
    /// Where it is on the device.
    pub path: String,
    /// Its media type; empty if it is not said.
    pub media_type: String,
    /// Its bytes.
    pub data: Vec<u8>,
}

/// Says no more than lengths: what is in a box is nobody's business.
impl fmt::Debug for FileObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileObject").field("data", &self.data.len()).finish_non_exhaustive()
    }
}

impl FileObject {
    /// As it is sent.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let (path, media_type) = (escaped(&self.path), escaped(&self.media_type));
        let (size, body) = (self.data.len(), STANDARD.encode(&self.data));
        let head = format!("<name>{path}</name><cttype>{media_type}</cttype><size>{size}</size>");
        format!("<File>{head}<body enc=\"base64\">{body}</body></File>").into_bytes()
    }

    /// Reads one; `None` for anything else. What is decoded is never larger than what came.
    #[must_use]
    pub fn decode(content: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(content).ok()?;
        let inner = text.trim_start().strip_prefix("<File>").or_else(|| Some(text.split_once("<File>")?.1))?;
        // What is inside of the body is no element of the object.
        let (head, body) = inner.split_once("<body").map_or((inner, None), |(head, rest)| (head, Some(rest)));
        let data = match body {
            None => Vec::new(),
            Some(body) => {
                let (attributes, rest) = body.split_once('>')?;
                let (body, _) = rest.split_once("</body>")?;
                match attributes.contains("base64") {
                    true => {
                        let packed: Vec<u8> = body.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
                        STANDARD.decode(packed).ok()?
                    }
                    false => unescaped(body)?.into_owned().into_bytes(),
                }
            }
        };
        let size = element(head, "size").and_then(|size| size.trim().parse::<usize>().ok());
        if size.is_some_and(|size| size != data.len()) {
            return None;
        }
        let text = |name| element(head, name).and_then(unescaped).map(Cow::into_owned);
        let path = text("name").filter(|path| !path.trim().is_empty())?;
        Some(Self { path, media_type: text("cttype").unwrap_or_default(), data })
    }
}

fn element<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(&format!("<{name}>"))?;
    rest.split_once(&format!("</{name}>")).map(|(inner, _)| inner)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn unescaped(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains('&') {
        return Some(text.into());
    }
    let mut out = String::with_capacity(text.len());
    let mut parts = text.split('&');
    out.push_str(parts.next()?);
    for part in parts {
        let (name, rest) = part.split_once(';')?;
        let number = name.strip_prefix('#').map(|digits| match digits.strip_prefix('x') {
            Some(hex) => u32::from_str_radix(hex, 16),
            None => digits.parse(),
        });
        out.push(match (name, number) {
            ("amp", _) => '&',
            ("lt", _) => '<',
            ("gt", _) => '>',
            ("quot", _) => '"',
            ("apos", _) => '\'',
            (_, Some(Ok(number))) => char::from_u32(number)?,
            _ => return None,
        });
        out.push_str(rest);
    }
    Some(out.into())
}

#[cfg(test)]
mod tests {
    use super::FileObject;

    #[test]
    fn files_come_back_as_they_went() {
        for (path, media_type, data) in [
            ("/home/ada/a.txt", "text/plain", &b"hello"[..]),
            ("/a & b/<x>.bin", "", &[0, 255, 13, 10]),
            ("/empty", "application/octet-stream", b""),
            ("/body/<body>", "text/x-<name>", b"<name>other</name></body>"),
        ] {
            let file = FileObject { path: path.into(), media_type: media_type.into(), data: data.to_vec() };
            assert_eq!(FileObject::decode(&file.encode()), Some(file), "{path}");
        }
    }

    #[test]
    fn what_others_write_is_read_and_what_is_none_is_not() {
        let plain =
            FileObject::decode(b"<?xml version=\"1.0\"?>\n<File><name>a&#x41;</name><body>1 &lt; 2</body></File>");
        assert!(plain.is_some_and(|file| file.path == "aA" && file.data == b"1 < 2" && file.media_type.is_empty()));
        for wrong in [
            "",
            "hello",
            "<File></File>",
            "<File><name> </name></File>",
            "<File><body>x</body></File>",
            "<File><name>a</name><body enc=\"base64\">?</body></File>",
            "<File><name>a</name><body enc=\"base64\">aGk=",
            "<File><name>a</name><size>3</size><body enc=\"base64\">aGk=</body></File>",
            "<File><name>&nope;</name></File>",
            "<Folder><name>a</name></Folder>",
        ] {
            assert_eq!(FileObject::decode(wrong.as_bytes()), None, "{wrong}");
        }
        assert_eq!(FileObject::decode(&[0xff, 0xfe]), None);
    }
}
