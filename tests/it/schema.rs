//! The contract: `schema.graphql` is what the service serves, and says what everything is.

#[test]
fn the_committed_schema_is_what_the_code_makes() {
    let committed = include_str!("../../schema.graphql");
    assert!(
        committed.trim_end() == callboard::graphql::sdl().trim_end(),
        "run `cargo run -- schema > schema.graphql`"
    );
}
