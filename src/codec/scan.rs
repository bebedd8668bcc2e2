//! Searching bytes, many at a time: the loops over chunks are written so that the compiler turns them into vectors.

const CHUNK: usize = 32;

/// The position of the first `needle`.
#[inline]
pub(super) fn find(bytes: &[u8], needle: u8) -> Option<usize> {
    find_if(bytes, |byte| byte == needle)
}

/// The position of the first byte that `wanted` says yes to. `wanted` has to be cheap and free of branches.
#[inline]
pub(super) fn find_if(bytes: &[u8], wanted: impl Fn(u8) -> bool) -> Option<usize> {
    let mut start = 0;
    let mut chunks = bytes.chunks_exact(CHUNK);
    for chunk in &mut chunks {
        if any(chunk, &wanted) {
            break;
        }
        start += CHUNK;
    }
    bytes[start..].iter().position(|byte| wanted(*byte)).map(|position| start + position)
}

/// Whether `wanted` says yes to any byte; all are looked at, which is fastest where it hardly ever does.
#[inline]
pub(super) fn any(bytes: &[u8], wanted: impl Fn(u8) -> bool) -> bool {
    bytes.iter().fold(0, |found, byte| found | u8::from(wanted(*byte))) != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_a_plain_search_finds() {
        for length in 0..100 {
            for position in 0..length {
                let mut bytes = vec![b'a'; length];
                bytes[position] = 0;
                assert_eq!(find(&bytes, 0), Some(position));
            }
            assert_eq!(find(&vec![b'a'; length], 0), None);
        }
        assert_eq!(find(b"abcabc", b'c'), Some(2));
    }

    #[test]
    fn any_looks_everywhere() {
        assert!(!any(b"", |_| true));
        for position in 0..70 {
            let mut bytes = [0; 70];
            bytes[position] = 1;
            assert!(any(&bytes, |byte| byte == 1) && !any(&bytes, |byte| byte == 2));
        }
    }
}
