//! Sessions that were found alive a moment ago.

use std::time::Duration;

use moka::future::Cache;
use uuid::Uuid;

use crate::platform::cache::{Epoch, Epochs};
use crate::platform::config::Auth;
use crate::platform::ids::SessionId;
use crate::platform::signals::{Hearing, Signal, Signals, Topic};

/// Customers' sessions that were found alive a moment ago. An access token lives for minutes and carries its own proof;
/// the end of a session is told to every server before it is answered.
#[derive(Clone, Debug)]
pub struct LiveSessions {
    alive: Cache<SessionId, ()>,
    /// Nothing is kept when this is false.
    is_on: bool,
    epochs: Epochs,
    signals: Signals,
    hearing: Hearing,
}

impl LiveSessions {
    /// Empty. With a time of 0 every request asks the database.
    pub fn new(config: &Auth, signals: Signals, hearing: Hearing) -> Self {
        let age = Duration::from_secs(config.session_check_seconds);
        Self {
            alive: Cache::builder().max_capacity(100_000).time_to_live(age).build(),
            is_on: !age.is_zero(),
            epochs: Epochs::default(),
            signals,
            hearing,
        }
    }

    pub(super) async fn has(&self, id: SessionId) -> bool {
        self.is_on && self.hearing.is_good() && self.alive.get(&id).await.is_some()
    }

    /// Take it before the database is asked, and give it to [`Self::put`].
    pub(super) fn epoch(&self) -> Epoch {
        self.epochs.now()
    }

    /// Keeps a session, unless it may have ended since the epoch.
    pub(super) async fn put(&self, id: SessionId, epoch: &Epoch) {
        if !self.is_on || !self.epochs.is_current(id.0, epoch) {
            return;
        }
        self.alive.insert(id, ()).await;
        // The end may have come between the check and the insert.
        if !self.epochs.is_current(id.0, epoch) {
            self.alive.invalidate(&id).await;
        }
    }

    /// Forgets sessions, on every server. Call it after the commit that ended them, and wait for it before the answer.
    pub async fn forget(&self, ids: &[SessionId]) {
        let ids: Vec<_> = ids.iter().map(|id| id.0).collect();
        self.forget_here(&ids).await;
        self.signals.tell(Signal { topic: Topic::Sessions, ids: Some(ids), redis_missed: false }).await;
    }

    /// Does what another server tells. `ids` as in [`Signal`].
    pub async fn hear(&self, ids: Option<Vec<Uuid>>) {
        match ids {
            Some(ids) => self.forget_here(&ids).await,
            None => self.start_anew(),
        }
    }

    /// Trusts nothing of before, after a time in which ends may have been missed.
    pub fn start_anew(&self) {
        self.epochs.change_all();
        self.alive.invalidate_all();
    }

    async fn forget_here(&self, ids: &[Uuid]) {
        for id in ids {
            self.epochs.change(*id);
            self.alive.invalidate(&SessionId(*id)).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::config::Config;

    fn sessions() -> LiveSessions {
        let config = Config { ..Config::defaults().unwrap() };
        LiveSessions::new(&config.auth, Signals::unheard(), Hearing::always())
    }

    #[tokio::test]
    async fn a_session_lives_until_it_is_forgotten() {
        let (sessions, id, other) = (sessions(), SessionId::new(), SessionId::new());
        for id in [id, other] {
            sessions.put(id, &sessions.epoch()).await;
        }
        sessions.forget(&[id]).await;
        assert!(!sessions.has(id).await && sessions.has(other).await);
        sessions.start_anew();
        assert!(!sessions.has(other).await);
    }

    #[tokio::test]
    async fn a_session_that_ended_while_the_database_was_asked_is_not_kept() {
        let (sessions, id) = (sessions(), SessionId::new());
        let asked = sessions.epoch();
        sessions.forget(&[id]).await;
        sessions.put(id, &asked).await;
        assert!(!sessions.has(id).await);
    }
}
