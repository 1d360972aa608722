//! One's own account: its data, and the proof of its address.

use super::extract::Identity;
use super::jobs::SendVerificationMail;
use super::service;
use super::store::{self, User, email_tokens};
use crate::app::App;
use crate::platform::crypto::sha256;
use crate::platform::error::{Error, Result};
use crate::platform::http::RequestMeta;
use crate::platform::ids::UserId;
use crate::platform::jobs;
use crate::platform::text::{Phone, Text};

pub(super) async fn get_user(app: &App, id: UserId) -> Result<User> {
    store::find_user(&mut *app.db.acquire().await?, id).await?.ok_or_else(Error::gone)
}

/// Changes one's own name or number. `Some(None)` removes the number.
pub(super) async fn update_profile(
    app: &App,
    actor: &Identity,
    name: Option<Text<1, 120>>,
    phone: Option<Option<Phone>>,
    meta: &RequestMeta,
) -> Result<User> {
    let now = app.clock.now();
    let mut tx = app.db.begin().await?;
    let number = phone.as_ref().map(|phone| phone.as_ref().map(Phone::as_str));
    store::update_profile(&mut tx, actor.user_id, name.as_ref().map(Text::as_str), number, now).await?;
    let user = store::find_user(&mut tx, actor.user_id).await?.ok_or(Error::NotFound("The account"))?;
    service::record(&mut tx, Some(actor), "user.update_profile", Some(actor.user_id), None, meta, now).await?;
    tx.commit().await?;
    Ok(user)
}

/// Confirms an address by the token of a mail. `caller` is whoever is signed in, if anybody.
///
/// # Errors
/// `Validation` of `token`.
pub(super) async fn verify_email(app: &App, token: &str, caller: Option<&Identity>) -> Result<()> {
    let signed_in = caller.map(|identity| identity.user_id);
    let token = sha256(token.as_bytes());
    let verified =
        email_tokens::verify_email(&mut *app.db.acquire().await?, &token, signed_in, app.clock.now()).await?;
    match verified {
        Some(_) => Ok(()),
        None => Err(Error::field("token", "is not valid any more; ask for a new verification mail")),
    }
}

pub(super) async fn resend_verification(app: &App, user: UserId) -> Result<()> {
    if get_user(app, user).await?.email_verified_at.is_some() {
        return Err(Error::conflict("Your e-mail address is verified already."));
    }
    let mut tx = app.db.begin().await?;
    jobs::enqueue(&mut tx, &SendVerificationMail::to(user), app.config.jobs.max_attempts).await?;
    tx.commit().await?;
    app.waker.wake();
    Ok(())
}
