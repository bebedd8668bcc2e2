#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| syncml_fuzz::bounded(syncml::transport::http::fuzz::http, bytes, 1 << 20, 1_000));
