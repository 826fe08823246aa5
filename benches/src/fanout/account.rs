//! What a subscriber received, held against what the database has.

use std::collections::BTreeSet;

/// Fails unless the events are those that happened, each once and in their order.
pub(super) fn check(happened: &[i64], received: &[i64]) -> anyhow::Result<()> {
    if happened == received {
        return Ok(());
    }
    let known: BTreeSet<i64> = happened.iter().copied().collect();
    let had: BTreeSet<i64> = received.iter().copied().collect();
    let missing = known.difference(&had).count();
    let foreign = had.difference(&known).count();
    let doubled = received.len() - had.len();
    anyhow::bail!(
        "of {} events a subscriber missed {missing}, had {doubled} more than once and {foreign} that did not happen, \
         {}",
        happened.len(),
        if received.is_sorted() {
            "in order"
        } else {
            "out of order"
        }
    )
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn each_event_must_come_once_and_in_order() {
        assert!(check(&[1, 2, 4], &[1, 2, 4]).is_ok());
        for (received, says) in [
            (&[1, 4][..], "missed 1, had 0 more than once and 0"),
            (&[1, 2, 2, 4], "missed 0, had 1 more than once and 0"),
            (&[1, 2, 4, 5], "missed 0, had 0 more than once and 1"),
            (&[2, 1, 4], "out of order"),
        ] {
            let refused = check(&[1, 2, 4], received).unwrap_err().to_string();
            assert!(refused.contains(says), "{refused}");
        }
    }
}
