//! Which ways to pay an order has. Quotes tell them, and an order that names another one is refused, by the same rules.

use crate::features::orders::{PaymentMethod, PaymentMethodOffer};
use crate::features::shipping::ShippingOption;
use crate::platform::config::{Limit, Payments};
use crate::platform::format::money;

/// What the ways to pay depend on.
#[derive(Clone, Copy, Debug)]
pub struct Basis<'a> {
    /// ISO 4217.
    pub currency: &'a str,
    /// What is to be paid, in minor units.
    pub total_minor: i64,
    /// How the goods are sent.
    pub shipping: &'a ShippingOption,
    /// How many orders their buyer has that are to be paid on delivery; where nobody is signed in, none.
    pub owed: i64,
}

/// Every way to pay, and why an order may not be paid so.
pub fn offers(config: &Payments, basis: &Basis<'_>) -> Vec<PaymentMethodOffer> {
    let all = [
        PaymentMethod::Paystack,
        PaymentMethod::BankTransfer,
        PaymentMethod::ManualTransfer,
        PaymentMethod::PayOnDelivery,
    ];
    all.into_iter()
        .map(|method| {
            let reason = refusal(config, method, basis);
            PaymentMethodOffer { method, available: reason.is_none(), reason }
        })
        .collect()
}

/// Why an order may not be paid in this way; none when it may.
pub fn refusal(config: &Payments, method: PaymentMethod, basis: &Basis<'_>) -> Option<String> {
    match method {
        PaymentMethod::Paystack | PaymentMethod::BankTransfer => None,
        PaymentMethod::ManualTransfer => config
            .accounts(basis.currency)
            .is_empty()
            .then(|| format!("The shop has no bank account for transfers in {}.", basis.currency)),
        PaymentMethod::PayOnDelivery => on_delivery(config, basis),
    }
}

fn on_delivery(config: &Payments, basis: &Basis<'_>) -> Option<String> {
    let Basis { currency, total_minor, shipping, owed } = *basis;
    if !config.pay_on_delivery {
        return Some("The shop does not take payment on delivery.".into());
    }
    if !shipping.pays_on_delivery {
        return Some(format!("What is sent by {} is paid before. Choose another way of shipping.", shipping.name));
    }
    match Limit::of(&config.pay_on_delivery_limits_minor, currency) {
        None => return Some(format!("Orders in {currency} are not paid on delivery.")),
        Some(limit) if total_minor > limit => {
            return Some(format!("Only orders up to {} are paid on delivery.", money(limit, currency)));
        }
        Some(_) => {}
    }
    (owed >= config.pay_on_delivery_open_orders).then(|| too_many_owed(config))
}

/// What somebody is told who has enough orders that are to be paid on delivery.
pub fn too_many_owed(config: &Payments) -> String {
    let open = config.pay_on_delivery_open_orders;
    let (orders, they) = if open == 1 { ("order", "it") } else { ("orders", "one of them") };
    format!("{open} unpaid {orders} with this e-mail address or telephone number are on the way. Pay for {they} first.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::config::Config;
    use crate::platform::ids::{MethodId, ZoneId};
    use crate::platform::money::Amount;

    fn shipping(pays_on_delivery: bool) -> ShippingOption {
        ShippingOption {
            code: "standard".into(),
            name: "Standard".into(),
            price: Amount(0),
            min_days: 1,
            max_days: 2,
            pays_on_delivery,
            is_pickup: false,
            pickup_details: None,
            zone_id: ZoneId::new(),
            method_id: MethodId::new(),
        }
    }

    #[test]
    fn nothing_is_offered_that_the_shop_has_not_set_up() {
        let config = Config::defaults().unwrap().payments;
        let shipping = shipping(true);
        let basis = Basis { currency: "NGN", total_minor: 1, shipping: &shipping, owed: 0 };
        let available: Vec<_> = offers(&config, &basis).iter().map(|offer| offer.available).collect();
        assert_eq!(available, [true, true, false, false]);
    }

    #[test]
    fn each_bound_of_payment_on_delivery_has_its_reason() {
        let mut config = Config::defaults().unwrap().payments;
        config.pay_on_delivery = true;
        let (yes, no) = (shipping(true), shipping(false));
        let at = |currency, total_minor, shipping, owed| {
            refusal(&config, PaymentMethod::PayOnDelivery, &Basis { currency, total_minor, shipping, owed })
        };
        assert_eq!(at("NGN", 20_000_000, &yes, 1), None);
        for (refused, word) in [
            (at("NGN", 20_000_001, &yes, 0), "up to"),
            (at("USD", 1, &yes, 0), "USD"),
            (at("NGN", 1, &no, 0), "Standard"),
            (at("NGN", 1, &yes, 2), "unpaid orders"),
        ] {
            assert!(refused.as_deref().is_some_and(|reason| reason.contains(word)), "{word}: {refused:?}");
        }
    }
}
