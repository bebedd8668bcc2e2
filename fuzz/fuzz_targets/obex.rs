#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| syncml_fuzz::bounded(syncml::transport::obex::fuzz::obex, bytes, 1 << 20, 2_000));
