//! Settlements on disk until the server has acknowledged them: a daemon that dies in between
//! delivers them in its next life.
//!
//! One JSON file each, readable by the owner alone (it contains a claim token), complete or not
//! there at all. A disk that fails is logged and does not keep a settlement from being delivered.

use std::{
    io,
    path::{Path, PathBuf},
};

use tokio::{
    fs::{self, File, OpenOptions},
    io::AsyncWriteExt,
};
use uuid::Uuid;

use crate::settlement::Settlement;

/// A directory of settlements.
pub(crate) struct Outbox {
    dir: PathBuf,
}

/// A settlement, and where it is kept.
#[derive(Debug)]
pub(crate) struct Filed {
    /// What is to be told.
    pub(crate) settlement: Settlement,
    path: PathBuf,
}

impl Outbox {
    /// Uses a directory that exists, and clears away what was never complete.
    pub(crate) async fn open(dir: PathBuf) -> io::Result<Self> {
        for path in files(&dir, "partial").await? {
            fs::remove_file(path).await?;
        }
        Ok(Self { dir })
    }

    /// Keeps a settlement, before the first attempt to deliver it.
    pub(crate) async fn file(&self, settlement: Settlement) -> Filed {
        // Names sort by age.
        let name = format!("{}.json", Uuid::now_v7());
        let filed = Filed {
            settlement,
            path: self.dir.join(name),
        };
        if !filed.settlement.is_empty() {
            self.refile(&filed).await;
        }
        filed
    }

    /// Keeps the present state of a settlement in place of the one kept before.
    pub(crate) async fn refile(&self, filed: &Filed) {
        if let Err(error) = self.write(filed).await {
            tracing::error!(%error, path = %filed.path.display(), "cannot keep a settlement");
        }
    }

    /// What an earlier life has left, oldest first.
    pub(crate) async fn left(&self) -> io::Result<Vec<Filed>> {
        let mut left = Vec::new();
        for path in files(&self.dir, "json").await? {
            match serde_json::from_slice(&fs::read(&path).await?) {
                Ok(settlement) => left.push(Filed { settlement, path }),
                Err(error) => {
                    tracing::error!(%error, path = %path.display(), "cannot read a settlement");
                }
            }
        }
        Ok(left)
    }

    /// Forgets a settlement that is no longer needed.
    pub(crate) async fn remove(&self, filed: &Filed) {
        match fs::remove_file(&filed.path).await {
            Ok(()) => {}
            // It was empty, or could not be kept.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                tracing::error!(%error, path = %filed.path.display(), "cannot remove a settlement");
            }
        }
    }

    /// Puts away a settlement that the server will never take, for people to look at.
    pub(crate) async fn set_aside(&self, filed: &Filed) {
        let refused = filed.path.with_extension("refused");
        if let Err(error) = fs::rename(&filed.path, &refused).await {
            tracing::error!(%error, path = %filed.path.display(), "cannot set a settlement aside");
        }
    }

    async fn write(&self, filed: &Filed) -> io::Result<()> {
        let partial = filed.path.with_extension("partial");
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&partial)
            .await?;
        file.write_all(&serde_json::to_vec(&filed.settlement)?)
            .await?;
        file.sync_all().await?;
        fs::rename(&partial, &filed.path).await?;
        // The name, too, must survive a power cut.
        File::open(&self.dir).await?.sync_all().await
    }
}

async fn files(dir: &Path, extension: &str) -> io::Result<Vec<PathBuf>> {
    let mut entries = fs::read_dir(dir).await?;
    let mut paths = Vec::new();
    while let Some(entry) = entries.next_entry().await? {
        let path = entry.path();
        if path.extension().is_some_and(|found| found == extension) {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use serde_json::json;

    use super::*;
    use crate::{
        claim::{ClaimProof, ClaimToken},
        report::Pin,
        settlement::{FailureReason, Outcome},
        usage::Usage,
    };

    fn settlement(task: u128, outcome: Outcome) -> Settlement {
        Settlement {
            proof: ClaimProof {
                task_id: Uuid::from_u128(task),
                claim_token: ClaimToken::new(Uuid::from_u128(99)),
            },
            usage: Vec::new(),
            outcome,
            pin: Pin {
                session_id: Some("s".into()),
                work_dir: None,
            },
        }
    }

    fn completed(task: u128) -> Settlement {
        settlement(
            task,
            Outcome::Complete {
                result: json!({ "a": [1] }),
            },
        )
    }

    async fn reopened(dir: &Path) -> Vec<Settlement> {
        let outbox = Outbox::open(dir.to_owned()).await.unwrap();
        let left = outbox.left().await.unwrap();
        left.into_iter().map(|filed| filed.settlement).collect()
    }

    #[tokio::test]
    async fn what_is_filed_is_there_in_the_next_life_in_order() {
        let dir = tempfile::tempdir().unwrap();
        let outbox = Outbox::open(dir.path().to_owned()).await.unwrap();
        let failed = settlement(
            2,
            Outcome::Fail {
                error: "daemon stopped".into(),
                failure_reason: FailureReason::RuntimeRecovery,
            },
        );
        outbox.file(completed(1)).await;
        outbox.file(failed.clone()).await;
        assert_eq!(reopened(dir.path()).await, [completed(1), failed]);
    }

    #[tokio::test]
    async fn only_the_owner_can_read_it() {
        let dir = tempfile::tempdir().unwrap();
        let outbox = Outbox::open(dir.path().to_owned()).await.unwrap();
        let filed = outbox.file(completed(1)).await;
        let mode = std::fs::metadata(&filed.path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[tokio::test]
    async fn what_is_removed_or_set_aside_is_not_delivered_again() {
        let dir = tempfile::tempdir().unwrap();
        let outbox = Outbox::open(dir.path().to_owned()).await.unwrap();
        let removed = outbox.file(completed(1)).await;
        let refused = outbox.file(completed(2)).await;
        outbox.remove(&removed).await;
        outbox.set_aside(&refused).await;
        assert!(reopened(dir.path()).await.is_empty());
        assert_eq!(files(dir.path(), "refused").await.unwrap().len(), 1);
    }

    #[tokio::test]
    async fn usage_that_is_reported_is_not_kept() {
        let dir = tempfile::tempdir().unwrap();
        let outbox = Outbox::open(dir.path().to_owned()).await.unwrap();
        let usage: Usage =
            serde_json::from_value(json!({ "provider": "p", "model": "m" })).unwrap();
        let mut filed = outbox
            .file(Settlement {
                usage: vec![usage],
                ..completed(1)
            })
            .await;
        filed.settlement.usage.clear();
        outbox.refile(&filed).await;
        assert_eq!(reopened(dir.path()).await, [completed(1)]);
    }

    #[tokio::test]
    async fn what_is_incomplete_or_empty_counts_for_nothing() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("a.partial"), "{").unwrap();
        std::fs::write(dir.path().join("b.json"), "{").unwrap();
        let outbox = Outbox::open(dir.path().to_owned()).await.unwrap();
        let empty = outbox.file(settlement(1, Outcome::LetGo)).await;
        outbox.remove(&empty).await;
        assert!(reopened(dir.path()).await.is_empty());
        assert!(files(dir.path(), "partial").await.unwrap().is_empty());
    }
}
