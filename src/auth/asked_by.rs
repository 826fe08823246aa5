//! What is asked for by somebody with a token, where the statement that does it sees whether the token still holds.

use std::collections::HashSet;

use sea_orm::ActiveEnum;
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use super::{Identity, Viewer};
use crate::error::{Error, Result};

/// What is asked for, and the token that has to hold for it to be done.
#[derive(Clone, Debug)]
pub struct AskedBy<A> {
    token: Shown,
    asked: A,
}

/// A token as the function `asked_by` of the database reads it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
struct Shown {
    id: Uuid,
    role: Option<String>,
}

impl<A> AskedBy<A> {
    /// What a viewer asks for.
    pub fn new(viewer: &Viewer, asked: A) -> Self {
        let role = match &viewer.identity {
            Identity::Member { role, .. } => Some(role.to_value()),
            Identity::Admin | Identity::Service { .. } | Identity::Daemon(_) => None,
        };
        let token = Shown {
            id: viewer.token_id.0,
            role,
        };
        Self { token, asked }
    }

    /// What they ask for.
    pub const fn asked(&self) -> &A {
        &self.asked
    }

    /// What several ask for, and apart from it the tokens, for `asked_by`.
    pub fn part(all: Vec<Self>) -> Result<(Vec<A>, Value)> {
        let (tokens, asked): (HashSet<Shown>, Vec<A>) =
            all.into_iter().map(|one| (one.token, one.asked)).unzip();
        let tokens = serde_json::to_value(tokens).map_err(|error| Error::Internal(error.into()))?;
        Ok((asked, tokens))
    }
}
