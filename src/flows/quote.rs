//! What an order costs. Placing an order, a cart and every other preview use this one calculation.

use crate::features::carts::CartLine;
use crate::features::orders::ShippingMethod;
use crate::platform::config::{Config, Shipping, Tax};
use crate::platform::money::{Amount, Overflow};

/// What a line is priced by.
#[derive(Clone, Copy, Debug)]
pub struct PricedLine {
    /// What one unit costs.
    pub unit_price: Amount,
    /// Units.
    pub quantity: i32,
}

/// The sums of an order, in minor units. `subtotal - discount + shipping + tax = total`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Totals {
    /// Each line: its total and its tax.
    pub lines: Vec<(Amount, Amount)>,
    /// The lines together.
    pub subtotal: Amount,
    /// What is taken off.
    pub discount: Amount,
    /// Carriage.
    pub shipping: Amount,
    /// On the goods, on top of the prices, rounded half to even line by line.
    pub tax: Amount,
    /// What is to be paid.
    pub total: Amount,
}

/// Adds an order up.
///
/// # Errors
/// When a sum leaves the range of an amount.
pub fn totals(
    lines: &[PricedLine],
    method: ShippingMethod,
    shipping: &Shipping,
    tax: &Tax,
) -> Result<Totals, Overflow> {
    let mut totals = Totals {
        lines: Vec::with_capacity(lines.len()),
        subtotal: Amount(0),
        discount: Amount(0),
        shipping: Amount(0),
        tax: Amount(0),
        total: Amount(0),
    };
    for line in lines {
        let line_total = line.unit_price.times(line.quantity)?;
        let line_tax = line_total.basis_points(tax.rate_basis_points)?;
        totals.subtotal = totals.subtotal.checked_add(line_total)?;
        totals.tax = totals.tax.checked_add(line_tax)?;
        totals.lines.push((line_total, line_tax));
    }
    totals.shipping = Amount(match method {
        // Nothing travels.
        _ if lines.is_empty() => 0,
        ShippingMethod::Standard if shipping.free_from_minor > 0 && totals.subtotal.0 >= shipping.free_from_minor => 0,
        ShippingMethod::Standard => shipping.standard_minor,
        ShippingMethod::Express => shipping.express_minor,
        ShippingMethod::Overnight => shipping.overnight_minor,
    });
    totals.total =
        totals.subtotal.checked_sub(totals.discount)?.checked_add(totals.shipping)?.checked_add(totals.tax)?;
    Ok(totals)
}

/// What an order of a cart would cost with the method that an order has if it names none. Lines that cannot be bought are left
/// out; of which fewer are available than the line has counts as it stands.
///
/// # Errors
/// As [`totals`].
pub fn of_cart(config: &Config, lines: &[CartLine]) -> Result<Totals, Overflow> {
    let priced: Vec<_> = lines
        .iter()
        .filter(|line| line.is_buyable())
        .map(|line| PricedLine { unit_price: Amount(line.price_minor), quantity: line.quantity })
        .collect();
    totals(&priced, ShippingMethod::default(), &config.shipping, &config.tax)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::config::Config;
    use proptest::prelude::*;

    #[test]
    fn an_order_adds_up() {
        let config = Config::defaults().unwrap();
        let lines = [
            PricedLine { unit_price: Amount(4_500_000), quantity: 2 },
            PricedLine { unit_price: Amount(333), quantity: 1 },
        ];
        let totals = totals(&lines, ShippingMethod::Standard, &config.shipping, &config.tax).unwrap();
        // 7.5 % of 9,000,000 is 675,000 and of 333 is 24.975.
        assert_eq!(totals.tax, Amount(675_025));
        assert_eq!(totals.total, Amount(9_000_333 + 250_000 + 675_025));
    }

    #[test]
    fn nothing_costs_nothing() {
        let config = Config::defaults().unwrap();
        let totals = totals(&[], ShippingMethod::Express, &config.shipping, &config.tax).unwrap();
        assert_eq!((totals.shipping, totals.total), (Amount(0), Amount(0)));
    }

    #[test]
    fn standard_is_free_from_the_limit_on() {
        let mut config = Config::defaults().unwrap();
        config.shipping.free_from_minor = 1_000;
        let line = |minor| [PricedLine { unit_price: Amount(minor), quantity: 1 }];
        let fee = |minor, method| totals(&line(minor), method, &config.shipping, &config.tax).unwrap().shipping;
        assert_eq!(fee(999, ShippingMethod::Standard), Amount(250_000));
        assert_eq!(fee(1_000, ShippingMethod::Standard), Amount(0));
        assert_eq!(fee(1_000, ShippingMethod::Express), Amount(500_000));
    }

    proptest! {
        #[test]
        fn lines_tax_and_shipping_make_the_total(
            lines in proptest::collection::vec((0i64..1_000_000_000_000, 1i32..1_000), 1..100),
            rate in 0u32..=10_000,
        ) {
            let mut config = Config::defaults().unwrap();
            config.tax.rate_basis_points = rate;
            let lines: Vec<_> = lines
                .into_iter()
                .map(|(minor, quantity)| PricedLine { unit_price: Amount(minor), quantity })
                .collect();
            let t = totals(&lines, ShippingMethod::Express, &config.shipping, &config.tax).unwrap();
            let sum: i64 = t.lines.iter().map(|(total, tax)| total.0 + tax.0).sum();
            prop_assert_eq!(sum + t.shipping.0 - t.discount.0, t.total.0);
            prop_assert_eq!(t.lines.iter().map(|(total, _)| total.0).sum::<i64>(), t.subtotal.0);
        }
    }
}
