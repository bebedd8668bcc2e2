#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| syncml_fuzz::bounded(syncml::kit::fuzz::codec::devinf, bytes, 16 << 20, 16_000));
