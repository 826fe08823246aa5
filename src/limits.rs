//! Bounds on what may be written: each names the argument that broke it.

use std::borrow::Cow;

use serde_json::Value;

use crate::error::{Error, Result};

/// The most bytes of a name, an id of a daemon's, a reason: what a person reads in a line.
pub const LINE_BYTES: usize = 1024;

/// The most bytes of a prompt, an instruction, an error text, a line of a transcript.
pub const TEXT_BYTES: usize = 64 * 1024;

/// The most bytes of a piece of JSON, as text.
pub const JSON_BYTES: usize = 256 * 1024;

/// The most elements of a list argument.
pub const LIST_LENGTH: usize = 1000;

/// The most rows of a page.
pub const PAGE_ROWS: i32 = 200;

/// Refuses an empty name, or one that is too long.
pub fn name(argument: impl Into<Cow<'static, str>>, text: &str) -> Result<()> {
    if text.trim().is_empty() {
        return Err(Error::bad_input(argument, "must not be empty"));
    }
    line(argument, Some(text))
}

/// Refuses a line that is too long.
pub fn line(argument: impl Into<Cow<'static, str>>, text: Option<&str>) -> Result<()> {
    bytes(argument, text.map_or(0, str::len), LINE_BYTES)
}

/// Refuses a text that is too long.
pub fn text(argument: impl Into<Cow<'static, str>>, text: Option<&str>) -> Result<()> {
    bytes(argument, text.map_or(0, str::len), TEXT_BYTES)
}

/// Refuses JSON that is too long.
pub fn json(argument: impl Into<Cow<'static, str>>, value: Option<&Value>) -> Result<()> {
    bytes(
        argument,
        value.map_or(0, |value| value.to_string().len()),
        JSON_BYTES,
    )
}

/// Refuses a list that is too long.
pub fn list<T>(argument: impl Into<Cow<'static, str>>, list: &[T]) -> Result<()> {
    if list.len() > LIST_LENGTH {
        return Err(Error::bad_input(
            argument,
            format!("at most {LIST_LENGTH} elements"),
        ));
    }
    Ok(())
}

/// Refuses a number outside the range.
pub fn range(
    argument: impl Into<Cow<'static, str>>,
    number: i32,
    range: std::ops::RangeInclusive<i32>,
) -> Result<()> {
    if range.contains(&number) {
        return Ok(());
    }
    let (start, end) = (range.start(), range.end());
    Err(Error::bad_input(
        argument,
        format!("must be from {start} to {end}"),
    ))
}

/// Refuses what is larger than `limit`.
fn bytes(argument: impl Into<Cow<'static, str>>, size: usize, limit: usize) -> Result<()> {
    if size > limit {
        return Err(Error::bad_input(
            argument,
            format!("at most {limit} bytes, and this has {size}"),
        ));
    }
    Ok(())
}
