//! Those who ask together are known by their places: in what the database is given, and in what it answers.

use serde::Serialize;
use serde_json::Value;

use crate::error::{Error, Result};

/// What is asked for, as the functions of the database read it; `record` is given the place of each.
pub(super) fn numbered<'a, A, R: Serialize>(
    asked: &'a [A],
    record: impl Fn(&'a A, usize) -> R,
) -> Result<Value> {
    let records = asked.iter().enumerate();
    let records: Vec<R> = records.map(|(place, asked)| record(asked, place)).collect();
    serde_json::to_value(records).map_err(|error| Error::Internal(error.into()))
}

/// Puts an answer in its place.
pub(super) fn put<T>(answers: &mut [T], place: i32, answer: T) {
    let at = usize::try_from(place)
        .ok()
        .and_then(|place| answers.get_mut(place));
    if let Some(at) = at {
        *at = answer;
    }
}
