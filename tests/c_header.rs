//! The C header (`capi/include/syncml.h`) says what the library is; `SYNCML_BLESS=1` writes it anew. It is tested from here and
//! not from there, so that the library is not built a second time for the tests' own dependencies.
#![allow(clippy::unwrap_used)]

use std::path::Path;

#[test]
fn the_header_is_the_librarys() {
    let folder = &Path::new(env!("CARGO_MANIFEST_DIR")).join("capi");
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
        "capi/include/syncml.h is not what the library is; SYNCML_BLESS=1 cargo test --test c_header writes it"
    );
}
