#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| syncml_fuzz::bounded(syncml::kit::fuzz::stored::stored, bytes, 256 << 20, 1_000_000));
