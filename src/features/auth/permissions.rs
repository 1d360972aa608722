//! Which role may do what: the whole table.
//!
//! Each route names what it needs in its description, and that is what is enforced: `security(())` is open to everybody,
//! `security(("bearer" = []))` to whoever is signed in, and `security(("bearer" = ["manage_catalog"]))` to the roles that
//! have this permission. A route that says nothing is closed.

use std::collections::HashMap;

use axum::http::Method;
use utoipa::openapi::path::Operation;
use utoipa::openapi::{OpenApi, security::SecurityRequirement};

use super::extract::Identity;
use super::model::Role;
use crate::platform::error::{Error, Result};

/// A deed that not everybody may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permission {
    /// Create, change and remove products and categories, and see those that are not for sale.
    ManageCatalog,
    /// See and change stock.
    ManageInventory,
    /// See and change taxes and shipping.
    ManageRates,
    /// Create, change and remove coupons, and see which orders use them.
    ManageCoupons,
    /// Read every customer's orders.
    ReadOrders,
    /// Pack, send, cancel and take back orders, and write notes on them.
    ManageOrders,
    /// See payments, refunds, disputes, reconciliations, and what the payment provider tells.
    ReadPayments,
    /// Give money back, record money that came past the provider, decide about money that does not fit and about paid orders that wait
    /// for a review, answer disputes, reconcile with the payment provider.
    ManagePayments,
    /// Read every account, with its addresses and sessions.
    ReadUsers,
    /// Change roles, suspend accounts, end sessions, take away a lost second factor.
    ManageUsers,
    /// Read the audit log and check its chain.
    ReadAudit,
    /// Read the events of orders, money and stock.
    ReadEvents,
    /// Say which addresses are told of events, and see what was sent there.
    ManageWebhooks,
}

impl Permission {
    /// Every permission.
    pub const ALL: [Self; 13] = [
        Self::ManageCatalog,
        Self::ManageInventory,
        Self::ManageRates,
        Self::ManageCoupons,
        Self::ReadOrders,
        Self::ManageOrders,
        Self::ReadPayments,
        Self::ManagePayments,
        Self::ReadUsers,
        Self::ManageUsers,
        Self::ReadAudit,
        Self::ReadEvents,
        Self::ManageWebhooks,
    ];

    /// The name that routes use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ManageCatalog => "manage_catalog",
            Self::ManageInventory => "manage_inventory",
            Self::ManageRates => "manage_rates",
            Self::ManageCoupons => "manage_coupons",
            Self::ReadOrders => "read_orders",
            Self::ManageOrders => "manage_orders",
            Self::ReadPayments => "read_payments",
            Self::ManagePayments => "manage_payments",
            Self::ReadUsers => "read_users",
            Self::ManageUsers => "manage_users",
            Self::ReadAudit => "read_audit",
            Self::ReadEvents => "read_events",
            Self::ManageWebhooks => "manage_webhooks",
        }
    }

    /// The table.
    pub fn allowed_to(self, role: Role) -> bool {
        use Role::{Admin, Finance, Fulfilment, Merchant};
        match self {
            Self::ManageCatalog | Self::ManageRates | Self::ManageCoupons => matches!(role, Admin | Merchant),
            Self::ManageInventory | Self::ManageOrders => matches!(role, Admin | Merchant | Fulfilment),
            Self::ReadOrders => matches!(role, Admin | Merchant | Fulfilment | Finance),
            Self::ReadPayments => matches!(role, Admin | Merchant | Finance),
            Self::ManagePayments => matches!(role, Admin | Finance),
            Self::ReadUsers | Self::ReadEvents => matches!(role, Admin | Merchant),
            Self::ManageUsers | Self::ReadAudit | Self::ManageWebhooks => matches!(role, Admin),
        }
    }
}

impl Identity {
    /// Whether the role of this person may do it.
    pub(super) fn may(&self, permission: Permission) -> bool {
        permission.allowed_to(self.role)
    }

    /// Refuses unless this person may do it.
    pub(super) fn require(&self, permission: Permission) -> Result<()> {
        if self.may(permission) {
            Ok(())
        } else {
            Err(Error::Forbidden("Your account may not do this. Ask an administrator of the shop.".into()))
        }
    }
}

/// Who may use a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// Everybody; a token is not looked at.
    Open,
    /// Everybody, but whoever sends a token must be who it says.
    Optional,
    /// Whoever is signed in.
    SignedIn,
    /// The roles that have this.
    Needs(Permission),
}

/// What each route of the document needs.
#[derive(Debug)]
pub struct AccessTable(HashMap<String, Vec<(Method, Access)>>);

impl AccessTable {
    /// Reads the table out of the document.
    ///
    /// # Errors
    /// When a route says nothing, or names what is no permission.
    pub fn of(document: &OpenApi) -> anyhow::Result<Self> {
        let mut table: HashMap<String, Vec<(Method, Access)>> = HashMap::new();
        for (path, item) in &document.paths.paths {
            let operations = [
                (Method::GET, &item.get),
                (Method::POST, &item.post),
                (Method::PUT, &item.put),
                (Method::PATCH, &item.patch),
                (Method::DELETE, &item.delete),
            ];
            for (method, operation) in operations {
                let Some(operation) = operation else { continue };
                let access = access(operation).map_err(|fault| anyhow::anyhow!("{method} {path}: {fault}"))?;
                table.entry(path.clone()).or_default().push((method, access));
            }
        }
        Ok(Self(table))
    }

    /// Whether the document has this path, with whatever methods.
    pub(super) fn has(&self, path: &str) -> bool {
        self.0.contains_key(path)
    }

    /// What a request needs; none where the document has no such route.
    pub(super) fn find(&self, method: &Method, path: &str) -> Option<Access> {
        let method = if *method == Method::HEAD { &Method::GET } else { method };
        self.0.get(path)?.iter().find(|(known, _)| known == method).map(|(_, access)| *access)
    }
}

fn access(operation: &Operation) -> Result<Access, String> {
    let security = operation.security.as_deref().filter(|all| !all.is_empty()).ok_or("says nothing about access")?;
    let open = security.contains(&SecurityRequirement::default());
    let scopes = security.iter().filter_map(scopes).collect::<Vec<_>>();
    match (open, &scopes[..]) {
        (true, []) => Ok(Access::Open),
        (true, [none]) if none.is_empty() => Ok(Access::Optional),
        (false, [none]) if none.is_empty() => Ok(Access::SignedIn),
        (false, [needed]) => match &needed[..] {
            [name] => Permission::ALL
                .into_iter()
                .find(|permission| permission.as_str() == name)
                .map(Access::Needs)
                .ok_or_else(|| format!("there is no permission {name}")),
            _ => Err("names more than one permission".into()),
        },
        _ => Err("has rules that contradict each other".into()),
    }
}

/// The scopes of a `bearer` requirement. The type shows its content only as JSON.
fn scopes(requirement: &SecurityRequirement) -> Option<Vec<String>> {
    let value = serde_json::to_value(requirement).ok()?;
    serde_json::from_value(value.get("bearer")?.clone()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_says_who_may_use_it() {
        let table = AccessTable::of(&crate::openapi::document()).unwrap();
        assert_eq!(table.find(&Method::POST, "/api/v1/products"), Some(Access::Needs(Permission::ManageCatalog)));
        assert_eq!(table.find(&Method::HEAD, "/api/v1/auth/me"), Some(Access::SignedIn));
        assert_eq!(table.find(&Method::GET, "/api/v1/products"), Some(Access::Open));
        assert_eq!(table.find(&Method::POST, "/api/v1/orders"), Some(Access::Optional));
        assert_eq!(table.find(&Method::PUT, "/api/v1/orders"), None);
    }

    #[test]
    fn only_an_administrator_may_do_everything() {
        for permission in Permission::ALL {
            assert!(permission.allowed_to(Role::Admin), "{permission:?}");
            assert!(!permission.allowed_to(Role::Customer), "{permission:?}");
        }
    }
}
