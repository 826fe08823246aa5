//! Subscribers, each with a socket of its own.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinSet;
use uuid::Uuid;

use super::account;
use super::side::Side;
use super::socket::{Said, Socket};

/// How many sockets are being opened at once, where nothing else is said.
const OPENING: usize = 100;

/// How long a whole crowd may take for anything.
const PATIENCE: Duration = Duration::from_mins(3);

/// Where and on whose behalf.
#[derive(Clone, Debug)]
pub(super) struct Door {
    pub(super) address: SocketAddr,
    pub(super) side: Side,
    pub(super) token: String,
    pub(super) workspace_id: Uuid,
}

/// Whether all subscribers ask for the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asking {
    /// They ask the same.
    Alike,
    /// Each calls what it asks for something else.
    Unlike,
}

impl Asking {
    /// In words, said of subscribers.
    pub(super) const fn meaning(self) -> &'static str {
        match self {
            Self::Alike => "who all ask the same",
            Self::Unlike => "each with a document of their own",
        }
    }
}

/// Up to which event is followed; none while that is not known.
pub(super) type Until = watch::Receiver<Option<i64>>;

/// A subscriber.
#[derive(Debug)]
pub(super) struct Subscriber {
    number: usize,
    socket: Option<Socket>,
    /// After which event it began.
    after: i64,
    /// The cursors of the events that it received.
    pub(super) received: Vec<i64>,
    /// When these came.
    pub(super) arrivals: Vec<Instant>,
    /// How many bytes they were.
    pub(super) bytes: usize,
}

impl Subscriber {
    const fn new(number: usize) -> Self {
        Self {
            number,
            socket: None,
            after: 0,
            received: Vec::new(),
            arrivals: Vec::new(),
            bytes: 0,
        }
    }

    /// Forgets what it received up to an event, which was the last.
    fn begin_after(&mut self, event: i64) {
        self.after = event;
        self.received.clear();
        self.arrivals.clear();
        self.bytes = 0;
    }

    /// Opens its socket.
    async fn connect(&mut self, door: &Door) -> anyhow::Result<()> {
        self.socket = Some(Socket::open(door.address, door.side.path(), &door.token).await?);
        Ok(())
    }

    fn socket(&mut self) -> anyhow::Result<&mut Socket> {
        let socket = self.socket.as_mut();
        socket.ok_or_else(|| anyhow::anyhow!("a subscriber has no socket"))
    }

    /// Subscribes behind the last event that it received.
    async fn subscribe(&mut self, door: &Door, asking: Asking) -> anyhow::Result<()> {
        let name = if asking == Asking::Alike {
            0
        } else {
            self.number
        };
        let document = door.side.document(&format!("s{name:05}"));
        let after = self.received.last().copied().unwrap_or(self.after);
        let variables = json!({"id": door.workspace_id, "after": format!("c{after:016x}")});
        let payload = json!({"query": document, "variables": variables});
        let message = json!({"type": "subscribe", "id": "1", "payload": payload});
        self.socket()?.say(&message.to_string()).await
    }

    /// Follows until it has received the last event, whichever that will be.
    async fn follow(&mut self, until: &mut Until) -> anyhow::Result<()> {
        loop {
            self.take().await?;
            let last = *until.borrow_and_update();
            if last.is_some_and(|last| self.received.last() >= Some(&last)) {
                return Ok(());
            }
            tokio::select! {
                biased;
                read = self.socket()?.read() => read?,
                changed = until.changed() => changed?,
            }
        }
    }

    /// Takes what was read; says whether a pong was in it.
    async fn take(&mut self) -> anyhow::Result<bool> {
        let (now, mut answered) = (Instant::now(), false);
        while let Some(said) = self.socket()?.next()? {
            match said {
                Said::Event { cursor, bytes } => {
                    self.received.push(cursor);
                    self.arrivals.push(now);
                    self.bytes += bytes;
                }
                Said::Ping => self.socket()?.say(r#"{"type":"pong"}"#).await?,
                Said::SocketPing => self.socket()?.answer_ping().await?,
                Said::Pong => answered = true,
                Said::Ack | Said::Available => anyhow::bail!("{said:?} was not asked for"),
            }
        }
        Ok(answered)
    }

    /// Leaves, with whatever was still on its way: nothing may have been.
    async fn leave(&mut self) -> anyhow::Result<()> {
        self.socket()?.say(r#"{"type":"ping"}"#).await?;
        while !self.take().await? {
            self.socket()?.read().await?;
        }
        self.socket = None;
        Ok(())
    }
}

/// Subscribers.
#[derive(Debug, Default)]
pub(super) struct Crowd(pub(super) Vec<Subscriber>);

impl Crowd {
    /// So many, each with a socket that was acknowledged, and no more.
    pub(super) async fn connected(door: &Door, count: usize) -> anyhow::Result<Self> {
        let (mut crowd, mut opening) = (Self::default(), JoinSet::new());
        let mut coming = (0..count).map(Subscriber::new);
        loop {
            while opening.len() < OPENING
                && let Some(mut subscriber) = coming.next()
            {
                let door = door.clone();
                opening.spawn(async move {
                    subscriber.connect(&door).await?;
                    anyhow::Ok(subscriber)
                });
            }
            match opening.join_next().await {
                Some(subscriber) => crowd.0.push(subscriber??),
                None => return Ok(crowd),
            }
        }
    }

    /// The same, each subscribed behind an event.
    pub(super) async fn subscribe(
        &mut self,
        door: &Door,
        asking: Asking,
        after: i64,
    ) -> anyhow::Result<()> {
        for subscriber in &mut self.0 {
            subscriber.after = after;
            subscriber.subscribe(door, asking).await?;
        }
        Ok(())
    }

    /// Has all forget what they received up to an event, which was the last.
    pub(super) fn begin_after(&mut self, event: i64) {
        for subscriber in &mut self.0 {
            subscriber.begin_after(event);
        }
    }

    /// Begins to follow, until each has received the last event.
    pub(super) fn follow(self, until: &Until) -> Following {
        let following = self.0.into_iter().map(|mut subscriber| {
            let mut until = until.clone();
            async move {
                subscriber.follow(&mut until).await?;
                Ok(subscriber)
            }
        });
        Following(following.collect())
    }

    /// Follows to an event that has happened.
    pub(super) async fn followed_to(self, event: i64) -> anyhow::Result<Self> {
        let (_known, until) = watch::channel(Some(event));
        self.follow(&until).all().await
    }

    /// Cuts every socket.
    pub(super) fn cut(&mut self) {
        for subscriber in &mut self.0 {
            subscriber.socket = None;
        }
    }

    /// Lets all connect again at once, each as often as it has to, and follow to an event. Says how often one was turned
    /// away.
    pub(super) async fn resumed_to(self, door: &Door, event: i64) -> anyhow::Result<(Self, usize)> {
        let mut resuming = JoinSet::new();
        for mut subscriber in self.0 {
            let door = door.clone();
            resuming.spawn(async move {
                let mut turned_away = 0_usize;
                let (_known, mut until) = watch::channel(Some(event));
                loop {
                    let resumed = async {
                        subscriber.connect(&door).await?;
                        subscriber.subscribe(&door, Asking::Alike).await?;
                        subscriber.follow(&mut until).await
                    };
                    if resumed.await.is_ok() {
                        return (subscriber, turned_away);
                    }
                    turned_away += 1;
                    // Not all at once again.
                    let pause = 100 + u64::try_from(subscriber.number % 400).unwrap_or_default();
                    tokio::time::sleep(Duration::from_millis(pause)).await;
                }
            });
        }
        let all = tokio::time::timeout(PATIENCE, resuming.join_all()).await?;
        let turned_away = all.iter().map(|(_, turned_away)| turned_away).sum();
        let subscribers = all.into_iter().map(|(subscriber, _)| subscriber).collect();
        Ok((Self(subscribers), turned_away))
    }

    /// Lets all leave, and fails unless each received what happened, each event once and in order.
    pub(super) async fn account(&mut self, happened: &[i64]) -> anyhow::Result<()> {
        for subscriber in &mut self.0 {
            tokio::time::timeout(PATIENCE, subscriber.leave()).await??;
            account::check(happened, &subscriber.received)?;
        }
        Ok(())
    }
}

/// A crowd that follows.
#[derive(Debug)]
pub(super) struct Following(JoinSet<anyhow::Result<Subscriber>>);

impl Following {
    /// Waits until all have received the last event.
    pub(super) async fn all(mut self) -> anyhow::Result<Crowd> {
        let following = async {
            let mut crowd = Crowd::default();
            while let Some(subscriber) = self.0.join_next().await {
                crowd.0.push(subscriber??);
            }
            Ok(crowd)
        };
        tokio::time::timeout(PATIENCE, following).await?
    }
}
