//! Those who ask together are known by their places: in what the database is given, and in what it answers.

use serde::Serialize;
use serde_json::Value;

use crate::error::{Error, Result};

/// What is asked for, as the functions of the database read it; `record` is given the place of each.
pub fn numbered<'a, A, R: Serialize>(
    asked: &'a [A],
    record: impl Fn(&'a A, usize) -> R,
) -> Result<Value> {
    let records = asked.iter().enumerate();
    let records: Vec<R> = records.map(|(place, asked)| record(asked, place)).collect();
    serde_json::to_value(records).map_err(|error| Error::Internal(error.into()))
}

/// Puts an answer in its place.
pub fn put<T>(answers: &mut [T], place: i32, answer: T) {
    if let Some(at) = at(answers, place) {
        *at = answer;
    }
}

/// The answer in this place, if there is one.
pub fn at<T>(answers: &mut [T], place: i32) -> Option<&mut T> {
    usize::try_from(place)
        .ok()
        .and_then(|place| answers.get_mut(place))
}
