//! The header says what the library is; `SYNCML_BLESS=1` writes it anew.

use std::path::Path;

#[test]
fn the_header_is_the_librarys() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let config = cbindgen::Config::from_file(folder.join("cbindgen.toml")).unwrap();
    let bindings = cbindgen::Builder::new().with_config(config).with_crate(folder).generate().unwrap();
    let mut made = Vec::new();
    bindings.write(&mut made);
    let path = folder.join("include/syncml.h");
    if std::env::var_os("SYNCML_BLESS").is_some() {
        std::fs::write(&path, &made).unwrap();
    }
    let kept = std::fs::read(&path).unwrap_or_default();
    assert!(
        kept == made,
        "include/syncml.h is not what the library is; SYNCML_BLESS=1 cargo test -p syncml-capi writes it"
    );
}
