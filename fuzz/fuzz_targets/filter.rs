#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| syncml_fuzz::bounded(syncml::kit::fuzz::small::filter, bytes, 1 << 20, 4_000));
