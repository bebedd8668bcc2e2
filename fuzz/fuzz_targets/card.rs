#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| syncml_fuzz::bounded(syncml::kit::fuzz::card::card, bytes, 4 << 20, 40_000));
