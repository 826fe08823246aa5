//! The account that Postgres runs as: ours, or an unprivileged one where we are root, since Postgres refuses root.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::unistd::{User, geteuid};

use super::error::EmbeddedError;

/// Whom root runs Postgres as, by preference.
const UNPRIVILEGED: [&str; 2] = ["postgres", "nobody"];

/// A user and a group to run Postgres as.
#[derive(Debug, Clone, Copy)]
pub(super) struct Account {
    /// The user's id.
    pub(super) uid: u32,
    /// The group's id.
    pub(super) gid: u32,
    /// Whether this is another account than ours, so that files have to be given to it.
    pub(super) is_foreign: bool,
}

impl Account {
    /// The account for the cluster at `cluster`: its owner's, if it exists and that is possible.
    pub(super) fn choose(cluster: &Path) -> Result<Self, EmbeddedError> {
        let us = geteuid();
        let owner = match fs::symlink_metadata(cluster) {
            Ok(metadata) => Some(metadata),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(source) => {
                return Err(EmbeddedError::File {
                    action: "examine",
                    path: cluster.to_owned(),
                    source,
                });
            }
        };

        if !us.is_root() {
            return match owner {
                Some(metadata) if metadata.uid() != us.as_raw() => Err(EmbeddedError::Owner {
                    path: cluster.to_owned(),
                    owner: metadata.uid(),
                    uid: us.as_raw(),
                }),
                _ => Ok(Self {
                    uid: us.as_raw(),
                    gid: nix::unistd::getegid().as_raw(),
                    is_foreign: false,
                }),
            };
        }
        match owner {
            Some(metadata) if metadata.uid() != 0 => Ok(Self {
                uid: metadata.uid(),
                gid: metadata.gid(),
                is_foreign: true,
            }),
            Some(metadata) => Err(EmbeddedError::Owner {
                path: cluster.to_owned(),
                owner: metadata.uid(),
                uid: Self::unprivileged()?.uid,
            }),
            None => Self::unprivileged(),
        }
    }

    /// The first of the unprivileged accounts that exists.
    fn unprivileged() -> Result<Self, EmbeddedError> {
        for name in UNPRIVILEGED {
            let user = User::from_name(name)
                .map_err(|source| EmbeddedError::AccountLookup { name, source })?;
            if let Some(user) = user {
                return Ok(Self {
                    uid: user.uid.as_raw(),
                    gid: user.gid.as_raw(),
                    is_foreign: true,
                });
            }
        }
        Err(EmbeddedError::NoAccount)
    }

    /// Whether the directory's permissions let the account through to what is in it.
    pub(super) fn may_enter(self, directory: &Metadata) -> bool {
        let bit = if directory.uid() == self.uid {
            0o100
        } else if directory.gid() == self.gid {
            0o010
        } else {
            0o001
        };
        directory.mode() & bit != 0
    }
}
