//! The link in a mail that sells, with which its reader takes his consent back.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::Uuid;

use super::store::{self, Consent, ConsentKind, Person};
use crate::app::App;
use crate::platform::error::{Error, Result};
use crate::platform::ids::{ConsentId, UserId};

/// The page of the link.
pub(super) const PAGE: &str = "/unsubscribe";

/// What a token is sealed for, so that nothing else that is sealed can pass for one.
const SEAL: &[u8] = b"unsubscribe from marketing";

/// The link for one account. It works as long as the shop has its encryption key, and says nothing about whose it is.
///
/// # Errors
/// When the system's random source fails.
pub fn unsubscribe_link(app: &App, user: UserId) -> Result<String> {
    let token = URL_SAFE_NO_PAD.encode(app.vault.seal(SEAL, user.0.as_bytes())?);
    Ok(format!("{}{PAGE}?token={token}", app.config.public_url()))
}

fn user_of(app: &App, token: &str) -> Option<UserId> {
    let sealed = URL_SAFE_NO_PAD.decode(token).ok()?;
    let id = app.vault.open(SEAL, &sealed).ok()?;
    Uuid::from_slice(&id).ok().map(UserId)
}

/// Whether a link has a token of this shop.
pub(super) fn is_valid(app: &App, token: &str) -> bool {
    user_of(app, token).is_some()
}

/// Takes the consent to mails that sell back. Gives false for a link that is none of this shop's.
///
/// # Errors
/// The database's.
pub(super) async fn unsubscribe(app: &App, token: &str) -> Result<bool> {
    let Some(user) = user_of(app, token) else { return Ok(false) };
    let mut tx = app.db.begin().await?;
    // Who presses twice has answered once.
    if store::agreeing_to_marketing(&mut tx, &[user]).await?.is_empty() {
        return Ok(true);
    }
    let consent = Consent {
        id: ConsentId::new(),
        kind: ConsentKind::Marketing,
        granted: false,
        wording: "the link of a mail to get no more of them".into(),
        at: app.clock.now(),
    };
    match store::insert(&mut tx, Person::User(user), &consent).await.map_err(Error::from) {
        Ok(()) => tx.commit().await?,
        // The account was erased meanwhile: it gets no mails.
        Err(Error::Unauthenticated(_)) => {}
        Err(error) => return Err(error),
    }
    Ok(true)
}
