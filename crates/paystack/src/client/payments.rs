//! Transactions.

use super::{Client, query, time, unknown_as_not_found};
use crate::reference::is_dot_segment;
use crate::{Error, InitializeTransaction, InitializedTransaction, ListTransactions, Page, Transaction};

impl Client {
    /// Starts a payment attempt (`POST /transaction/initialize`). Sent once:
    /// after a transient error the attempt may exist, so `verify` its reference.
    ///
    /// # Errors
    /// Any [`Error`] but `NotFound`; see [`Error::is_duplicate_reference`].
    pub async fn initialize(&self, request: &InitializeTransaction) -> Result<InitializedTransaction, Error> {
        let url = self.url(&["transaction", "initialize"]);
        let answer = self.once(self.http.post(url).json(request)).await?;
        InitializedTransaction::try_from(&answer.data)
    }

    /// The state of one attempt (`GET /transaction/verify/{reference}`). That the
    /// call succeeds does not say that the payment did: see `status`.
    ///
    /// # Errors
    /// [`Error::NotFound`] for a reference Paystack does not know, else any
    /// other [`Error`], after a bounded number of tries.
    pub async fn verify(&self, reference: &str) -> Result<Transaction, Error> {
        // No URL path can name these, and they would change which path is called.
        if reference.is_empty() || is_dot_segment(reference) {
            return Err(Error::NotFound);
        }
        let answer = self.get(self.url(&["transaction", "verify", reference])).await;
        Transaction::try_from(&answer.map_err(unknown_as_not_found)?.data)
    }

    /// One transaction by Paystack's id (`GET /transaction/{id}`).
    ///
    /// # Errors
    /// [`Error::NotFound`] for an id Paystack does not know, else any other
    /// [`Error`], after a bounded number of tries.
    pub async fn fetch_transaction(&self, id: u64) -> Result<Transaction, Error> {
        let answer = self.get(self.url(&["transaction", &id.to_string()])).await;
        Transaction::try_from(&answer.map_err(unknown_as_not_found)?.data)
    }

    /// One page of the integration's transactions (`GET /transaction`).
    ///
    /// # Errors
    /// Any [`Error`] but `NotFound`, after a bounded number of tries.
    pub async fn list(&self, list: &ListTransactions) -> Result<Page<Transaction>, Error> {
        let url = query(
            self.url(&["transaction"]),
            [
                ("page", list.page.map(|page| page.to_string())),
                ("perPage", list.per_page.map(|count| count.to_string())),
                ("from", list.from.map(time)),
                ("to", list.to.map(time)),
                ("status", list.status.as_ref().map(|status| status.as_str().to_owned())),
            ],
        );
        Page::read(&self.get(url).await?)
    }
}
