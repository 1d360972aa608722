//! What a guest has put into his cart comes along when he signs in.

use crate::app::App;
use crate::features::carts::{self, Carried};
use crate::platform::ids::UserId;

/// Adds the guest's cart that a request carries to the cart of the account that it has just opened. Gives whether the guest's
/// token has become useless.
///
/// It never keeps anybody from signing in: when it fails, the guest's cart stays as it is, and `POST /cart/merge` takes it over.
pub async fn bring_cart(app: &App, user: UserId, carried: Carried) -> bool {
    let Some(guest) = carried.0 else { return false };
    match carts::merge(app, user, &guest, None).await {
        Ok(_) => true,
        Err(error) => {
            tracing::warn!(%user, %error, "a guest's cart was not taken over");
            false
        }
    }
}
