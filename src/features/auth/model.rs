//! What an account is.

use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What a person is to the shop. What each role may do is in `permissions.rs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, sqlx::Type, ToSchema)]
#[serde(rename_all = "lowercase")]
#[sqlx(type_name = "text", rename_all = "lowercase")]
pub enum Role {
    /// Buys.
    Customer,
    /// Everything.
    Admin,
    /// Catalogue, stock, orders, reports.
    Merchant,
    /// Packs and sends orders.
    Fulfilment,
    /// Payments, refunds, reports.
    Finance,
}

impl Role {
    /// The name, as stored and sent.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Customer => "customer",
            Self::Admin => "admin",
            Self::Merchant => "merchant",
            Self::Fulfilment => "fulfilment",
            Self::Finance => "finance",
        }
    }

    /// Every role.
    pub const ALL: [Self; 5] = [Self::Customer, Self::Admin, Self::Merchant, Self::Fulfilment, Self::Finance];
}

impl FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|role| role.as_str() == text)
            .ok_or_else(|| format!("must be {}", Self::ALL.map(Self::as_str).join(" or ")))
    }
}
