//! Watching presence: what events change, and what time alone changes.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use entity::id::{AgentId, WorkspaceId};
use futures::{Stream, StreamExt, stream};
use tokio::time::Instant;

use super::Item;
use super::checkpoint::until;
use super::room::{Known, Room, Seen, changed_runtime};
use crate::error::Result;
use crate::event::{Change, Sight};
use crate::graphql::context::Board;
use crate::presence::Presence;

/// What a viewer knows of a workspace's presence.
#[derive(Debug)]
pub(super) struct View {
    board: Board,
    room: Arc<Room>,
    workspace_id: WorkspaceId,
    sight: Sight,
    /// The agents asked for; all where it is none.
    only: Option<HashSet<AgentId>>,
    /// What the viewer was told.
    told: HashMap<AgentId, Told>,
    /// When time alone will make that untrue.
    due: HashMap<AgentId, Instant>,
    /// Whom the viewer may see, the archived included.
    in_sight: HashSet<AgentId>,
}

/// What a viewer was told of an agent.
#[derive(Clone, Debug)]
struct Told {
    presence: Presence,
    /// Before which moment nothing is missing from it.
    as_of: Instant,
}

/// What is new to a viewer.
#[derive(Debug, Default)]
pub(super) struct News {
    /// These are otherwise than the viewer was told.
    pub(super) changed: Vec<Presence>,
    /// Some of whom the viewer was told are not there any more: archived, or out of sight.
    pub(super) gone: bool,
    /// Some came into sight or went out of it.
    pub(super) sight_changed: bool,
}

impl View {
    /// A viewer who knows nothing as yet.
    pub(super) fn new(
        board: &Board,
        sight: Sight,
        workspace_id: WorkspaceId,
        only: Option<HashSet<AgentId>>,
    ) -> Self {
        Self {
            room: board.shared.room(&board.hub, workspace_id),
            board: board.clone(),
            workspace_id,
            sight,
            only,
            told: HashMap::new(),
            due: HashMap::new(),
            in_sight: HashSet::new(),
        }
    }

    /// Takes it that the viewer was told this much.
    pub(super) fn knows(&mut self, everyone: impl Iterator<Item = Known>) {
        self.told.clear();
        self.due.clear();
        self.in_sight.clear();
        for known in everyone {
            let id = known.observed.presence.agent_id;
            self.in_sight.insert(id);
            if !known.observed.archived {
                self.tell(id, &known);
            }
        }
    }

    /// Whether the viewer may see the agent, as far as they know.
    pub(super) fn sees(&self, id: AgentId) -> bool {
        self.in_sight.contains(&id)
    }

    /// Whether the viewer was told how the agent is.
    pub(super) fn knows_of(&self, id: AgentId) -> bool {
        self.told.contains_key(&id)
    }

    /// When time alone will make untrue something that the viewer was told.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due.values().min().copied()
    }

    /// What is new by a change.
    pub(super) async fn after(&mut self, change: &Change) -> Result<News> {
        let mut news = News::default();
        if let Change::Batch(batch) = change
            && batch.of(self.workspace_id).next().is_none()
        {
            return Ok(news);
        }
        if let Change::Anything(_) = change {
            self.room = self.board.shared.room(&self.board.hub, self.workspace_id);
        }
        let room = Arc::clone(&self.room);
        let seen = room.after(&self.board, change).await?;
        match change {
            Change::Batch(batch) => {
                for event in batch.of(self.workspace_id) {
                    if let Some(id) = event.row.agent_id {
                        self.compare(&seen, id, &mut news);
                    }
                    for id in changed_runtime(event).iter().flat_map(|id| seen.on(*id)) {
                        self.compare(&seen, id, &mut news);
                    }
                }
            }
            Change::Anything(_) => {
                let everyone: HashSet<AgentId> =
                    seen.everyone().chain(self.told.keys().copied()).collect();
                for id in everyone {
                    self.compare(&seen, id, &mut news);
                }
            }
        }
        Ok(news)
    }

    /// What is new by the passing of time.
    pub(super) async fn now(&mut self) -> Result<News> {
        let now = Instant::now();
        let due = self.due.iter().filter(|(_, due)| **due <= now);
        let due: HashMap<AgentId, Instant> = due.map(|(id, due)| (*id, *due)).collect();
        let room = Arc::clone(&self.room);
        let seen = room.since(&self.board, &due).await?;
        let mut news = News::default();
        for id in due.into_keys() {
            self.compare(&seen, id, &mut news);
        }
        Ok(news)
    }

    /// Compares what the viewer was told of an agent with how it is.
    fn compare(&mut self, seen: &Seen, id: AgentId, news: &mut News) {
        let visible = |known: &&Known| self.sight.has(self.workspace_id, &known.observed.audience);
        let known = seen.of(id).filter(visible);
        news.sight_changed |= if known.is_some() {
            self.in_sight.insert(id)
        } else {
            self.in_sight.remove(&id)
        };
        let wanted = self.only.as_ref().is_none_or(|only| only.contains(&id));
        if let Some(known) = known.filter(|known| wanted && !known.observed.archived) {
            news.changed.extend(self.tell(id, known));
        } else {
            self.due.remove(&id);
            news.gone |= self.told.remove(&id).is_some();
        }
    }

    /// How the agent is, unless the viewer was told the same, or what is newer.
    fn tell(&mut self, id: AgentId, known: &Known) -> Option<Presence> {
        let told = self.told.get(&id);
        if told.is_some_and(|told| told.as_of > known.as_of) {
            return None;
        }
        let presence = &known.observed.presence;
        let is_new = told.is_none_or(|told| told.presence != *presence);
        match known.due {
            Some(due) => self.due.insert(id, due),
            None => self.due.remove(&id),
        };
        let told = Told {
            presence: presence.clone(),
            as_of: known.as_of,
        };
        self.told.insert(id, told);
        is_new.then(|| presence.clone())
    }
}

/// Everyone's presence, then each change of it.
pub(super) async fn changes(
    board: &Board,
    sight: Sight,
    workspace_id: WorkspaceId,
    only: Option<Vec<AgentId>>,
) -> Result<impl Stream<Item = Item<Presence>> + use<>> {
    let watcher = board.hub.watch().await?;
    let view = View::new(board, sight, workspace_id, only.map(HashSet::from_iter));
    let begin = Some(Change::Anything(watcher.position()));
    let news = stream::unfold(
        (watcher, view, begin),
        |(mut watcher, mut view, begin)| async {
            let news = if let Some(change) = begin {
                view.after(&change).await
            } else {
                tokio::select! {
                    change = watcher.next() => view.after(&change?).await,
                    () = until(view.due()) => view.now().await,
                }
            };
            Some((stream::iter(told(news)), (watcher, view, None)))
        },
    );
    Ok(news.flatten())
}

fn told(news: Result<News>) -> Vec<Item<Presence>> {
    match news {
        Ok(news) => news.changed.into_iter().map(Ok).collect(),
        Err(error) => vec![Err(error)],
    }
}
