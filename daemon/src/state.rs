//! A daemon's directory on this machine: one for each workspace and daemon id, used by one process. A
//! server may have several addresses, and more than one workspace.

use std::{
    fs::{DirBuilder, File, TryLockError},
    io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use anyhow::Context;
use uuid::Uuid;

/// The directory, locked for as long as this lives.
pub(crate) struct StateDir {
    path: PathBuf,
    _lock: File,
}

impl StateDir {
    /// Makes or finds the directory, and makes sure that no other process uses it.
    pub(crate) fn open(root: &Path, workspace_id: Uuid, daemon_id: &str) -> anyhow::Result<Self> {
        let path = root
            .join(workspace_id.to_string())
            .join(component(daemon_id));
        let open = || -> io::Result<File> {
            create(&path)?;
            create(&path.join("outbox"))?;
            create(&path.join("running"))?;
            File::create(path.join("lock"))
        };
        let lock = open()
            .with_context(|| format!("the state directory {} cannot be used", path.display()))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => anyhow::bail!(
                "another daemon `{daemon_id}` is running on this machine (it holds {})",
                path.display()
            ),
            Err(TryLockError::Error(error)) => {
                return Err(error).context("the state directory cannot be locked");
            }
        }
        Ok(Self { path, _lock: lock })
    }

    /// Where settlements are kept.
    pub(crate) fn outbox(&self) -> PathBuf {
        self.path.join("outbox")
    }

    /// Where it is noted what runs.
    pub(crate) fn running(&self) -> PathBuf {
        self.path.join("running")
    }

    /// Where tasks work if nothing else is said.
    pub(crate) fn work(&self) -> PathBuf {
        self.path.join("work")
    }
}

fn create(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Any text as one component of a path, different for different texts.
fn component(text: &str) -> String {
    let escaped = |(index, byte): (usize, u8)| {
        let plain = byte.is_ascii_alphanumeric()
            || matches!(byte, b'-' | b'_')
            || (byte == b'.' && index > 0);
        if plain {
            char::from(byte).to_string()
        } else {
            format!("%{byte:02X}")
        }
    };
    text.bytes().enumerate().map(escaped).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_leads_elsewhere() {
        assert_eq!(component("127.0.0.1:8080"), "127.0.0.1%3A8080");
        assert_eq!(component(".."), "%2E.");
        assert_eq!(component("a/b"), "a%2Fb");
        assert_eq!(component("a%2Fb"), "a%252Fb");
    }

    #[test]
    fn one_daemon_has_one_process() {
        let root = tempfile::tempdir().unwrap();
        let open = |daemon_id| StateDir::open(root.path(), Uuid::from_u128(1), daemon_id);
        let first = open("a").unwrap();
        let refusal = open("a").err().unwrap().to_string();
        assert!(refusal.starts_with("another daemon `a` is running"));
        assert!(open("b").is_ok());
        drop(first);
        assert!(open("a").is_ok());
    }
}
