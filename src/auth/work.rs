//! Counts the digests that are made, in tests: what nobody may be able to tell is not measured in time.

#[cfg(test)]
thread_local! {
    static DONE: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

/// One more was made.
pub(super) fn note() {
    #[cfg(test)]
    DONE.with(|done| done.set(done.get() + 1));
}

/// How many this thread made since it was asked last.
#[cfg(test)]
pub(crate) fn take() -> u64 {
    DONE.with(|done| done.replace(0))
}
