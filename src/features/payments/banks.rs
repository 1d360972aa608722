//! The banks to which refunds can go, as the provider lists them. The list is long and hardly changes.

use std::fmt;
use std::time::Duration;

use moka::future::Cache;
use serde::Serialize;
use utoipa::ToSchema;

/// How long a list is believed.
const AGE: Duration = Duration::from_secs(60 * 60);

/// A bank.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Bank {
    /// The provider's number, for a refund's account.
    pub id: u64,
    /// Its name.
    pub name: String,
    /// Its code in its country.
    pub code: String,
}

/// Banks by currency.
#[derive(Clone)]
pub struct BankCache(Cache<String, Vec<Bank>>);

impl fmt::Debug for BankCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BankCache")
    }
}

impl Default for BankCache {
    fn default() -> Self {
        Self(Cache::builder().max_capacity(50).time_to_live(AGE).build())
    }
}

impl BankCache {
    /// The banks of a currency, if they were asked for lately.
    pub async fn get(&self, currency: &str) -> Option<Vec<Bank>> {
        self.0.get(currency).await
    }

    /// Keeps what the provider has told.
    pub async fn keep(&self, currency: &str, banks: Vec<Bank>) {
        self.0.insert(currency.to_owned(), banks).await;
    }
}
