//! Every message in `fixtures/malformed` is refused with exactly the error in the `.expect` beside it. To add a case, add
//! the two files.

use std::path::Path;
use syncml::codec::{Encoding, Limits, decode};

/// Small enough for small fixtures to reach them.
const LIMITS: Limits =
    Limits { max_message: 10_000, max_depth: 16, max_elements: 200, max_text: 1_000, max_string_table: 100 };

#[test]
fn every_malformed_message_is_refused_as_expected() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/malformed");
    let mut wrong = Vec::new();
    let mut count = 0;
    for entry in std::fs::read_dir(&folder).expect("fixtures/malformed") {
        let path = entry.expect("entry").path();
        let encoding = match path.extension().and_then(|extension| extension.to_str()) {
            Some("xml") => Encoding::Xml,
            Some("wbxml") => Encoding::Wbxml,
            _ => continue,
        };
        count += 1;
        let name = path.file_name().expect("name").to_string_lossy().into_owned();
        let expected = std::fs::read_to_string(folder.join(format!("{name}.expect"))).unwrap_or_default();
        let bytes = std::fs::read(&path).expect("fixture");
        let said = match decode(&bytes, encoding, &LIMITS) {
            Ok(_) => "accepted".to_owned(),
            Err(error) => error.to_string(),
        };
        if said != expected.trim_end() {
            wrong.push(format!("{name}\n  expected: {}\n  is:       {said}", expected.trim_end()));
        }
    }
    wrong.sort();
    assert!(wrong.is_empty(), "{} of {count} differ:\n{}", wrong.len(), wrong.join("\n"));
    assert!(count >= 25, "only {count} fixtures");
}
