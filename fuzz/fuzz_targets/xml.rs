#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| syncml_fuzz::bounded(syncml::kit::fuzz::codec::xml, bytes, 32 << 20, 8_000));
