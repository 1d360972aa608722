//! Money that goes back: refunds, the banks they may need, and disputes.

use serde_json::json;

use super::{Client, query, time, unknown_as_not_found};
use crate::{
    Bank, CreateRefund, Dispute, Error, ListBanks, ListDisputes, ListRefunds, Page, Refund, RefundAccount,
    ResolveDispute,
};

impl Client {
    /// Gives money back (`POST /refund`). Sent once, and Paystack would give it
    /// back twice: after a transient error look for it with
    /// [`list_refunds`](Self::list_refunds) before sending again.
    ///
    /// # Errors
    /// Any [`Error`]: `NotFound` for an unknown transaction, `Rejected` for more
    /// than is left of it.
    pub async fn create_refund(&self, refund: &CreateRefund) -> Result<Refund, Error> {
        let answer = self.once(self.http.post(self.url(&["refund"])).json(refund)).await;
        Refund::try_from(&answer.map_err(unknown_as_not_found)?.data)
    }

    /// One page of refunds (`GET /refund`).
    ///
    /// # Errors
    /// Any [`Error`] but `NotFound`, after a bounded number of tries.
    pub async fn list_refunds(&self, list: &ListRefunds) -> Result<Page<Refund>, Error> {
        let url = query(
            self.url(&["refund"]),
            [
                ("transaction", list.transaction.map(|id| id.to_string())),
                ("from", list.from.map(time)),
                ("to", list.to.map(time)),
                ("page", list.page.map(|page| page.to_string())),
                ("perPage", list.per_page.map(|count| count.to_string())),
            ],
        );
        Page::read(&self.get(url).await?)
    }

    /// One refund (`GET /refund/{id}`).
    ///
    /// # Errors
    /// [`Error::NotFound`] for an id Paystack does not know, else any other
    /// [`Error`], after a bounded number of tries.
    pub async fn fetch_refund(&self, id: u64) -> Result<Refund, Error> {
        let answer = self.get(self.url(&["refund", &id.to_string()])).await;
        Refund::try_from(&answer.map_err(unknown_as_not_found)?.data)
    }

    /// Sends a refund that needs attention to an account of the customer's
    /// (`POST /refund/retry_with_customer_details/{id}`). Sent once.
    ///
    /// # Errors
    /// Any [`Error`]: `Rejected` with HTTP 422 for a refund in another state.
    pub async fn retry_refund(&self, id: u64, account: &RefundAccount) -> Result<Refund, Error> {
        let url = self.url(&["refund", "retry_with_customer_details", &id.to_string()]);
        let body = json!({ "refund_account_details": account });
        let answer = self.once(self.http.post(url).json(&body)).await;
        Refund::try_from(&answer.map_err(unknown_as_not_found)?.data)
    }

    /// The banks of a country or a currency, all of them (`GET /bank`, whose list
    /// comes whole where no page is asked for).
    ///
    /// # Errors
    /// Any [`Error`] but `NotFound`, after a bounded number of tries.
    pub async fn banks(&self, list: &ListBanks) -> Result<Vec<Bank>, Error> {
        let url = query(
            self.url(&["bank"]),
            [("country", list.country.clone()), ("currency", list.currency.clone()), ("type", list.kind.clone())],
        );
        Ok(Page::read(&self.get(url).await?)?.items)
    }

    /// One page of disputes (`GET /dispute`).
    ///
    /// # Errors
    /// Any [`Error`] but `NotFound`, after a bounded number of tries.
    pub async fn list_disputes(&self, list: &ListDisputes) -> Result<Page<Dispute>, Error> {
        let url = query(
            self.url(&["dispute"]),
            [
                ("from", list.from.map(time)),
                ("to", list.to.map(time)),
                ("page", list.page.map(|page| page.to_string())),
                ("perPage", list.per_page.map(|count| count.to_string())),
                ("status", list.status.as_ref().map(|status| status.as_str().to_owned())),
                ("transaction", list.transaction.map(|id| id.to_string())),
            ],
        );
        Page::read(&self.get(url).await?)
    }

    /// One dispute (`GET /dispute/{id}`).
    ///
    /// # Errors
    /// [`Error::NotFound`] for an id Paystack does not know, else any other
    /// [`Error`], after a bounded number of tries.
    pub async fn fetch_dispute(&self, id: u64) -> Result<Dispute, Error> {
        let answer = self.get(self.url(&["dispute", &id.to_string()])).await;
        Dispute::try_from(&answer.map_err(unknown_as_not_found)?.data)
    }

    /// Answers a dispute (`PUT /dispute/{id}/resolve`). Sent once: after a
    /// transient error fetch it to see whether it is resolved.
    ///
    /// # Errors
    /// Any [`Error`]: `Rejected` for one that is over.
    pub async fn resolve_dispute(&self, id: u64, answer: &ResolveDispute) -> Result<Dispute, Error> {
        let url = self.url(&["dispute", &id.to_string(), "resolve"]);
        let answer = self.once(self.http.put(url).json(answer)).await;
        Dispute::try_from(&answer.map_err(unknown_as_not_found)?.data)
    }
}
