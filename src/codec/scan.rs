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
        if chunk.iter().fold(false, |found, byte| found | wanted(*byte)) {
            break;
        }
        start += CHUNK;
    }
    bytes[start..].iter().position(|byte| wanted(*byte)).map(|position| start + position)
}

/// The union of what `flags` says of each byte.
#[inline]
pub(super) fn union(bytes: &[u8], flags: impl Fn(u8) -> u8) -> u8 {
    bytes.iter().fold(0, |all, byte| all | flags(*byte))
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
    fn unites_flags() {
        assert_eq!(union(b"", |_| 1), 0);
        assert_eq!(union(b"ab", |byte| byte - b'a' + 1), 3);
    }
}
