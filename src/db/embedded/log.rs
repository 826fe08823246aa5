//! The server's log.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use super::account::Account;
use super::error::EmbeddedError;
use super::file::{self, refused};

/// At this size the log is begun anew when the server starts.
const SIZE_BYTES: u64 = 10 * 1024 * 1024;

/// How much of the log an error quotes.
const TAIL_BYTES: u64 = 2048;

/// Makes the log writable for the account, and empty if it is large; returns where it ends.
pub(super) fn prepare(path: &Path, account: Account) -> Result<u64, EmbeddedError> {
    let file = file::open(path)?;
    file::give(&file, path, account)?;
    let length = file.metadata().map_err(refused("examine", path))?.len();
    if length <= SIZE_BYTES {
        return Ok(length);
    }
    file.set_len(0).map_err(refused("empty", path))?;
    Ok(0)
}

/// The end of a file, but nothing before a position.
pub(super) fn tail(path: &Path, start: u64) -> io::Result<String> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(
        start.max(length.saturating_sub(TAIL_BYTES)),
    ))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).trim().to_owned())
}
