//! The store kit against the stores that ship.

mod memory {
    use std::sync::atomic::{AtomicU8, Ordering};
    use syncml::store::memory::MemoryStore;

    static SEED: AtomicU8 = AtomicU8::new(0);

    syncml::store_kit_tests!(|| Box::new(MemoryStore::new([SEED.fetch_add(1, Ordering::SeqCst); 32])));
}

#[cfg(feature = "sqlite")]
mod sqlite_in_memory {
    use syncml::store::sqlite::SqliteStore;

    syncml::store_kit_tests!(|| Box::new(SqliteStore::open_in_memory().unwrap()));
}

#[cfg(feature = "sqlite")]
mod sqlite_in_a_file {
    use syncml::message::Timestamp;
    use syncml::store::sqlite::SqliteStore;
    use syncml::store::{AccountNo, Directory, Keys, Result, Store, Tx, Verdict};

    /// Keeps the folder as long as the store.
    struct InFolder(SqliteStore, #[allow(dead_code)] tempfile::TempDir);

    impl Store for InFolder {
        fn step(&self, account: AccountNo, work: &mut dyn FnMut(&mut dyn Tx) -> Result<Verdict>) -> Result<()> {
            self.0.step(account, work)
        }

        fn directory(&self) -> &dyn Directory {
            self.0.directory()
        }

        fn keys(&self) -> Result<Keys> {
            self.0.keys()
        }

        fn rotate_keys(&self, since: Timestamp) -> Result<Keys> {
            self.0.rotate_keys(since)
        }
    }

    impl Drop for InFolder {
        fn drop(&mut self) {
            // Some cases write items without their book's row; anything else that is found is the store's fault.
            if !std::thread::panicking()
                && let Err(error) = self.0.check()
            {
                assert!(error.to_string().contains("misused: account 1, book 1"), "{error}");
            }
        }
    }

    syncml::store_kit_tests!(|| {
        let folder = tempfile::tempdir().unwrap();
        Box::new(InFolder(SqliteStore::open(folder.path().join("kit.db")).unwrap(), folder))
    });
}

#[cfg(feature = "sqlite")]
mod sqlite_by_two_nodes {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use syncml::message::Timestamp;
    use syncml::store::sqlite::{SqliteOptions, SqliteStore};
    use syncml::store::{AccountNo, Directory, Keys, Result, Store, Tx, Verdict};

    /// Two processes' views of one database, asked in turn: any node takes the next step. One of them packs what it writes.
    struct Nodes([SqliteStore; 2], AtomicUsize, #[allow(dead_code)] tempfile::TempDir);

    impl Nodes {
        fn next(&self) -> &SqliteStore {
            &self.0[self.1.fetch_add(1, Ordering::SeqCst) % 2]
        }
    }

    impl Store for Nodes {
        fn step(&self, account: AccountNo, work: &mut dyn FnMut(&mut dyn Tx) -> Result<Verdict>) -> Result<()> {
            self.next().step(account, work)
        }

        fn directory(&self) -> &dyn Directory {
            self.next().directory()
        }

        fn keys(&self) -> Result<Keys> {
            self.next().keys()
        }

        fn rotate_keys(&self, since: Timestamp) -> Result<Keys> {
            self.next().rotate_keys(since)
        }
    }

    syncml::store_kit_tests!(|| {
        let folder = tempfile::tempdir().unwrap();
        let node = |compress| {
            let mut options = SqliteOptions::default();
            options.compress = compress;
            SqliteStore::open_with(folder.path().join("kit.db"), options).unwrap()
        };
        Box::new(Nodes([false, true].map(node), AtomicUsize::new(0), folder))
    });
}
