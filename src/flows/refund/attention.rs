//! Refunds that the provider cannot send the way the money came: staff name the buyer's bank account. Its number is handed on and
//! nowhere kept.

use paystack::{BANK_CURRENCIES, ListBanks, RefundAccount};

use super::ask::record;
use super::follow;
use super::send::{DEAD_AFTER, unavailable};
use crate::app::App;
use crate::features::auth::Identity;
use crate::features::payments::{self, Bank, RefundData, RefundStatus};
use crate::platform::error::{Error, Result};
use crate::platform::http::RequestMeta;
use crate::platform::ids::RefundId;

/// A bank account of a buyer.
pub struct Account {
    /// Its number, of digits.
    pub number: String,
    /// The provider's number of the bank.
    pub bank_id: u64,
}

/// Shows no number.
impl std::fmt::Debug for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Account").field("bank_id", &self.bank_id).finish_non_exhaustive()
    }
}

/// The banks to which money in a currency can go; none where the provider has no list of them.
///
/// # Errors
/// `External` when the provider does not answer.
pub async fn banks(app: &App, currency: &str) -> Result<Vec<Bank>> {
    if !BANK_CURRENCIES.contains(&currency) {
        return Ok(Vec::new());
    }
    if let Some(banks) = app.banks.get(currency).await {
        return Ok(banks);
    }
    let query = ListBanks { currency: Some(currency.to_owned()), ..ListBanks::default() };
    let banks = app.paystack.banks(&query).await.map_err(unavailable)?;
    let banks: Vec<_> = banks
        .into_iter()
        .filter(|bank| bank.is_active)
        .map(|bank| Bank { id: bank.id, name: bank.name, code: bank.code })
        .collect();
    app.banks.keep(currency, banks.clone()).await;
    Ok(banks)
}

/// Has the provider send a refund to a bank account. It is on record before the provider hears of it, and two at once send it
/// once.
///
/// # Errors
/// `NotFound`; `Conflict` when it does not wait for an account, or somebody names one at this moment; `Validation` when the
/// provider refuses the account; `External` when it does not answer: then nobody knows, and the refund shows it later.
pub async fn name_account(
    app: &App,
    actor: &Identity,
    meta: &RequestMeta,
    id: RefundId,
    account: Account,
) -> Result<RefundData> {
    let now = app.clock.now();
    let mut tx = app.db.begin().await?;
    let refund = payments::find_refund(&mut tx, id).await?.ok_or(Error::NotFound("The refund"))?;
    let number = refund.provider_refund_id.filter(|_| refund.status == RefundStatus::NeedsAttention);
    let number = number.ok_or_else(|| Error::conflict("This refund does not wait for a bank account."))?;
    let waiting = RefundStatus::NeedsAttention;
    if payments::claim_refund(&mut tx, id, waiting, now - DEAD_AFTER, now).await?.is_none() {
        return Err(Error::conflict("Somebody names an account for this refund at this moment. Look at it again."));
    }
    let end = account.number.len().saturating_sub(4);
    payments::name_account(&mut tx, id, account.number.get(end..).unwrap_or_default()).await?;
    record(&mut tx, (actor, meta), "refund.name_account", id, now).await?;
    tx.commit().await?;

    let to = RefundAccount {
        currency: refund.currency,
        account_number: account.number,
        bank_id: account.bank_id.to_string(),
    };
    match app.paystack.retry_refund(u64::try_from(number).map_err(Error::internal)?, &to).await {
        Ok(said) => follow::hear(app, id, &said).await?,
        Err(error) => {
            let words = error.to_string();
            payments::let_go(&mut *app.db.acquire().await?, id, now, (&words, false)).await?;
            return Err(match error {
                paystack::Error::Rejected { message, .. } => {
                    Error::field("accountNumber", format!("is not accepted by the payment provider: {message}"))
                }
                error => unavailable(error),
            });
        }
    }
    let refund =
        payments::find_refund(&mut *app.db.acquire().await?, id).await?.ok_or(Error::NotFound("The refund"))?;
    Ok(RefundData { refund: refund.into() })
}
