//! Which role may do what: the whole table.

use super::extract::Identity;
use super::model::Role;
use crate::platform::error::{Error, Result};

/// A deed that not everybody may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permission {
    /// Create, change and remove products and categories, and see those that are not for sale.
    ManageCatalog,
    /// Read every customer's orders.
    ReadOrders,
}

impl Permission {
    fn allowed_to(self, role: Role) -> bool {
        match self {
            Self::ManageCatalog => matches!(role, Role::Admin | Role::Merchant),
            Self::ReadOrders => matches!(role, Role::Admin | Role::Merchant | Role::Fulfilment | Role::Finance),
        }
    }
}

impl Identity {
    /// Whether this person may do it.
    pub fn may(&self, permission: Permission) -> bool {
        permission.allowed_to(self.role)
    }

    /// Refuses unless this person may do it.
    ///
    /// # Errors
    /// `Forbidden`.
    pub fn require(&self, permission: Permission) -> Result<()> {
        if self.may(permission) {
            Ok(())
        } else {
            Err(Error::Forbidden("Your account may not do this. Ask an administrator of the shop.".into()))
        }
    }
}
