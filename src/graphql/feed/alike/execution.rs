//! The execution of one subscription, which is given what to execute.

use futures::StreamExt;
use futures::channel::mpsc;
use futures::stream::BoxStream;

use crate::error::Error;
use crate::graphql::executor::Outcome;
use crate::graphql::feed::Item;
use crate::graphql::feed::tasks::Told;

/// The execution of one subscription: of each thing that it is given it makes one result.
pub(super) struct Execution {
    tell: mpsc::UnboundedSender<Item<Told>>,
    results: BoxStream<'static, Outcome>,
}

impl Execution {
    /// An execution that has begun: of what it is told here come the results.
    pub(super) const fn new(
        tell: mpsc::UnboundedSender<Item<Told>>,
        results: BoxStream<'static, Outcome>,
    ) -> Self {
        Self { tell, results }
    }

    /// What comes of telling this.
    pub(super) async fn tell(&mut self, told: Item<Told>) -> Outcome {
        // An execution that has ended says so by having no result.
        let _ended = self.tell.unbounded_send(told);
        self.results.next().await.unwrap_or_else(|| {
            let ended = anyhow::anyhow!("the execution of a subscription has ended before it");
            Outcome::from(Error::Internal(ended))
        })
    }
}
