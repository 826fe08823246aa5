//! Who delivers.

use clap::ValueEnum;

use crate::npm::Package;
use crate::postgraphile;
use crate::postgres::Postgres;
use crate::server::Server;

use super::socket;

/// Who delivers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(super) enum Side {
    /// The edge of Callboard.
    Callboard,
    /// The edge that async-graphql brings for axum, over the same schema.
    Stock,
    /// PostGraphile, which is told which task an event is about and reads it for each subscriber.
    Postgraphile,
    /// PostGraphile, which is told of the task with the event.
    PostgraphileTold,
}

impl Side {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Callboard => "Callboard",
            Self::Stock => "stock",
            Self::Postgraphile => "PostGraphile",
            Self::PostgraphileTold => "PostGraphile, told",
        }
    }

    pub(super) const fn meaning(self) -> &'static str {
        match self {
            Self::Callboard => "the edge of Callboard",
            Self::Stock => "the edge that async-graphql brings for axum, over the same schema",
            Self::Postgraphile => {
                "PostGraphile as its documentation has it: a trigger tells of each event, and the task is read for each \
                 subscriber; nobody is authenticated"
            }
            Self::PostgraphileTold => {
                "the same, but the trigger tells of the task too, and nothing is read"
            }
        }
    }

    pub(super) const fn is_postgraphile(self) -> bool {
        matches!(self, Self::Postgraphile | Self::PostgraphileTold)
    }

    /// Whether a subscriber can have what happened while it was away.
    pub(super) const fn resumes(self) -> bool {
        !self.is_postgraphile()
    }

    /// How many events it is to deliver where Callboard delivers so many: what is reckoned for each event needs no more of
    /// them, and takes ten times as long.
    pub(super) const fn share(self, events: u32) -> u32 {
        if self.is_postgraphile() {
            events.div_ceil(10)
        } else {
            events
        }
    }

    /// Where its sockets are opened.
    pub(super) const fn path(self) -> &'static str {
        if self.is_postgraphile() {
            "/graphql"
        } else {
            socket::PATH
        }
    }

    /// What it is asked for events, as which that is called; the variables are the workspace's id, and after which cursor to
    /// begin.
    pub(super) fn document(self, name: &str) -> String {
        let (after, task) = match self {
            Self::Callboard | Self::Stock => (true, "task { id"),
            Self::Postgraphile => (false, "task { rowId"),
            Self::PostgraphileTold => (false, "told { rowId"),
        };
        let (variables, arguments) = if after {
            (", $after: Cursor", ", after: $after")
        } else {
            ("", "")
        };
        format!(
            "subscription($id: UUID!{variables}) {{ {name}: taskEvents(workspaceId: $id{arguments}) {{ \
             cursor kind at fromStatus toStatus {task} agentId status priority createdAt triggerSummary }} }} }}"
        )
    }

    /// Starts one on a database; PostGraphile is in the package.
    pub(super) async fn start(
        self,
        postgres: &Postgres,
        database: &str,
        package: Option<&Package>,
    ) -> anyhow::Result<Server> {
        match (self, package) {
            (Self::Callboard, _) => Server::start(postgres, database).await,
            (Self::Stock, _) => Server::start_stock(postgres, database).await,
            (Self::Postgraphile | Self::PostgraphileTold, Some(package)) => {
                let of_tasks = self == Self::PostgraphileTold;
                postgraphile::with_trigger(postgres, database, of_tasks).await?;
                postgraphile::start_live(package, postgres, database).await
            }
            (Self::Postgraphile | Self::PostgraphileTold, None) => {
                anyhow::bail!("PostGraphile is not installed")
            }
        }
    }
}
