//! Carts that are known to be empty, in Redis where there is one.
//!
//! Most who look at their cart have nothing in it: a storefront asks on every page. That answer is the same for all servers, and
//! one change alone ends it. What a full cart shows, prices and availability, is the database's at that moment and comes in
//! one statement with the lines, so keeping the lines elsewhere would save nothing.

use std::time::Duration;

use uuid::Uuid;

use super::owner::Owner;
use crate::platform::cache::{Found, SharedCache, Token};
use crate::platform::crypto::sha256;
use crate::platform::redis::Redis;
use crate::platform::signals::{Hearing, Signal, Signals, Topic};

/// How long a cart is taken for empty without a question. It bounds what is shown when a process dies between the commit that
/// fills a cart and telling it.
const AGE: Duration = Duration::from_secs(10);

/// Empty carts.
#[derive(Clone, Debug)]
pub struct EmptyCarts {
    shared: SharedCache,
    signals: Signals,
}

/// What is known of a cart without the database.
#[derive(Debug)]
pub(super) enum Known {
    Empty,
    /// Nothing. With the token one may say that it is empty.
    Nothing(Option<Token>),
}

impl EmptyCarts {
    /// Knows nothing; without Redis for ever.
    pub fn new(redis: Option<Redis>, signals: Signals, hearing: Hearing) -> Self {
        Self { shared: SharedCache::new(redis, "empty-cart", AGE, hearing), signals }
    }

    pub(super) async fn find(&self, owner: &Owner) -> Known {
        let Some(id) = id_of(owner) else { return Known::Empty };
        match self.shared.get(id).await {
            Found::Entry(..) => Known::Empty,
            Found::Nothing(token) => Known::Nothing(Some(token)),
            Found::Off => Known::Nothing(None),
        }
    }

    /// Says that a cart was found empty, after the token was given.
    pub(super) async fn put(&self, owner: &Owner, token: &Token) {
        if let Some(id) = id_of(owner) {
            self.shared.put(id, token, b"").await;
        }
    }

    /// The cart may be empty no more. Call it after every commit that puts something into a cart, and wait for it before the
    /// answer.
    pub(super) async fn forget(&self, owner: &Owner) {
        let Some(id) = id_of(owner).filter(|_| self.shared.is_used()) else { return };
        let this = self.clone();
        // In a task of its own: whoever asked may go away.
        let told = tokio::spawn(async move {
            if !this.shared.forget(&[id]).await {
                this.signals.tell(Signal { topic: Topic::Carts, ids: Some(vec![id]), redis_missed: true }).await;
            }
        });
        if let Err(error) = told.await {
            tracing::error!(%error, "a cart could not be forgotten");
        }
    }

    /// Does what another server tells, which could not tell Redis. `ids` as in [`Signal`].
    pub async fn hear(&self, ids: Option<Vec<Uuid>>) {
        match ids {
            Some(ids) if self.shared.is_used() => {
                let this = self.clone();
                tokio::spawn(async move { this.shared.forget(&ids).await });
            }
            Some(_) => {}
            None => self.shared.doubt(),
        }
    }

    /// Trusts nothing of before, after a time in which changes may have been missed.
    pub fn start_anew(&self) {
        self.shared.doubt();
    }
}

/// No id of a person and no token is stored. None for a stranger, who has no cart.
fn id_of(owner: &Owner) -> Option<Uuid> {
    let hash = match owner {
        Owner::User(id) => sha256(format!("user:{id}").as_bytes()),
        Owner::Guest(hash) => sha256(&[b"guest:", &hash[..]].concat()),
        Owner::Stranger => return None,
    };
    let mut id = [0; 16];
    id.copy_from_slice(&hash[..16]);
    Some(Uuid::from_bytes(id))
}
