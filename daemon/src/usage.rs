//! Tokens that a task has used, summed up while it runs.

use serde::{Deserialize, Serialize};

/// Tokens used by one model: the contract's `TaskUsageInput`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Usage {
    /// Whose model.
    pub(crate) provider: String,
    /// Which model.
    pub(crate) model: String,
    /// Tokens read.
    #[serde(default)]
    pub(crate) input_tokens: u32,
    /// Tokens written.
    #[serde(default)]
    pub(crate) output_tokens: u32,
    /// Tokens read from a cache.
    #[serde(default)]
    pub(crate) cache_read_tokens: u32,
    /// Tokens written to a cache.
    #[serde(default)]
    pub(crate) cache_write_tokens: u32,
}

/// Adds to the sum of the same provider and model, or begins one.
pub(crate) fn add(sums: &mut Vec<Usage>, usage: Usage) {
    let same = sums
        .iter_mut()
        .find(|sum| sum.provider == usage.provider && sum.model == usage.model);
    match same {
        None => sums.push(usage),
        Some(sum) => {
            sum.input_tokens = sum.input_tokens.saturating_add(usage.input_tokens);
            sum.output_tokens = sum.output_tokens.saturating_add(usage.output_tokens);
            sum.cache_read_tokens = sum
                .cache_read_tokens
                .saturating_add(usage.cache_read_tokens);
            sum.cache_write_tokens = sum
                .cache_write_tokens
                .saturating_add(usage.cache_write_tokens);
        }
    }
}

/// A count as GraphQL's Int, which has 31 bits: too many to count is better than a refusal.
pub(crate) fn int(tokens: u32) -> i64 {
    i64::from(tokens).min(i64::from(i32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(model: &str, input_tokens: u32) -> Usage {
        serde_json::from_value(serde_json::json!({
            "provider": "p", "model": model, "inputTokens": input_tokens,
        }))
        .unwrap()
    }

    #[test]
    fn usage_is_summed_by_model() {
        let mut sums = Vec::new();
        for (model, tokens) in [("a", 1), ("b", 5), ("a", 2)] {
            add(&mut sums, usage(model, tokens));
        }
        assert_eq!(sums, [usage("a", 3), usage("b", 5)]);
    }

    #[test]
    fn a_count_fits_an_int() {
        assert_eq!(int(7), 7);
        assert_eq!(int(u32::MAX), i64::from(i32::MAX));
    }
}
