//! What an order costs. Placing an order, its quote and a cart use this one calculation.
//!
//! A line is price × quantity, less its part of the discount. Taxes are reckoned on that line by line, and on the carriage by
//! those that apply to it; each component is rounded for itself, half to even ([`Amount::part`]).

use chrono::{DateTime, Utc};

use crate::features::carts::CartLine;
use crate::features::coupons::Discount;
use crate::features::shipping::{self, ShippingOption};
use crate::features::taxes::{self, TaxRate};
use crate::flows::rates::Rates;
use crate::platform::money::{Amount, Overflow};

/// What a line is priced by.
#[derive(Clone, Copy, Debug)]
pub struct PricedLine {
    /// What one unit costs.
    pub unit_price: Amount,
    /// Units.
    pub quantity: i32,
    /// What one unit weighs.
    pub grams: i32,
}

/// What a line comes to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LineTotals {
    /// Price × quantity.
    pub total: Amount,
    /// Its part of the discount.
    pub discount: Amount,
    /// Taxes on top of the price.
    pub tax: Amount,
    /// Taxes within the price.
    pub tax_included: Amount,
}

/// What a component of the tax comes to, over all lines and the carriage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaxTotal {
    /// The component.
    pub rate: TaxRate,
    /// Its sum.
    pub amount: Amount,
}

/// The sums of an order, in minor units. `subtotal - discount + shipping + tax = total`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Each line.
    pub lines: Vec<LineTotals>,
    /// The lines together.
    pub subtotal: Amount,
    /// What is taken off.
    pub discount: Amount,
    /// Carriage.
    pub shipping: Amount,
    /// Each component of the tax, in the shop's order.
    pub taxes: Vec<TaxTotal>,
    /// Those on top of the prices.
    pub tax: Amount,
    /// Those within the prices.
    pub tax_included: Amount,
    /// What is to be paid.
    pub total: Amount,
}

/// Adds an order up. `discounts` are those of the lines, in their order; none when empty.
///
/// # Errors
/// When a sum leaves the range of an amount.
pub fn totals(
    lines: &[PricedLine],
    discounts: &[Amount],
    carriage: Amount,
    rates: &[TaxRate],
) -> Result<Totals, Overflow> {
    let mut totals = Totals {
        lines: Vec::with_capacity(lines.len()),
        shipping: carriage,
        taxes: rates.iter().map(|rate| TaxTotal { rate: rate.clone(), amount: Amount(0) }).collect(),
        ..Totals::default()
    };
    for (i, line) in lines.iter().enumerate() {
        let total = line.unit_price.times(line.quantity)?;
        let discount = discounts.get(i).copied().unwrap_or_default();
        let (tax, tax_included) = totals.add_taxes(total.checked_sub(discount)?, rates, |_| true)?;
        totals.subtotal = totals.subtotal.checked_add(total)?;
        totals.discount = totals.discount.checked_add(discount)?;
        totals.lines.push(LineTotals { total, discount, tax, tax_included });
    }
    totals.add_taxes(carriage, rates, |rate| rate.on_shipping)?;
    totals.total =
        totals.subtotal.checked_sub(totals.discount)?.checked_add(totals.shipping)?.checked_add(totals.tax)?;
    Ok(totals)
}

impl Totals {
    /// Adds the taxes of an amount. Gives those on top of it and those within it.
    fn add_taxes(
        &mut self,
        gross: Amount,
        rates: &[TaxRate],
        applies: impl Fn(&TaxRate) -> bool,
    ) -> Result<(Amount, Amount), Overflow> {
        let included = |rate: &&TaxRate| applies(rate) && rate.is_included;
        let within: u32 = rates.iter().filter(included).map(|rate| rate.rate_basis_points).sum();
        let (mut on_top, mut inside) = (Amount(0), Amount(0));
        let mut parts = Vec::with_capacity(rates.len());
        for rate in rates {
            let part = if included(&rate) { gross.part(rate.rate_basis_points, 10_000 + within)? } else { Amount(0) };
            inside = inside.checked_add(part)?;
            parts.push(part);
        }
        let net = gross.checked_sub(inside)?;
        for ((rate, mut part), sum) in rates.iter().zip(parts).zip(&mut self.taxes) {
            if applies(rate) && !rate.is_included {
                part = net.basis_points(rate.rate_basis_points)?;
                on_top = on_top.checked_add(part)?;
            }
            sum.amount = sum.amount.checked_add(part)?;
        }
        self.tax = self.tax.checked_add(on_top)?;
        self.tax_included = self.tax_included.checked_add(inside)?;
        Ok((on_top, inside))
    }
}

/// Where goods go, as far as taxes and carriage ask.
#[derive(Clone, Debug)]
pub struct Destination {
    /// ISO 3166, two letters.
    pub country: String,
    /// State or region.
    pub region: Option<String>,
}

/// What these goods cost, sent there.
#[derive(Clone, Debug)]
pub struct Price {
    /// The sums, with the chosen way of shipping.
    pub totals: Totals,
    /// The chosen one; none when it is not offered there, and then the sums are without carriage.
    pub shipping: Option<ShippingOption>,
    /// All ways these goods can go there.
    pub options: Vec<ShippingOption>,
}

/// Prices goods. `method` is the code of the way of shipping; without one it is the first that is offered there.
///
/// # Errors
/// When a sum leaves the range of an amount.
pub fn price(
    rates: &Rates,
    lines: &[PricedLine],
    discount: Option<&Discount>,
    destination: &Destination,
    method: Option<&str>,
    now: DateTime<Utc>,
) -> Result<Price, Overflow> {
    let (country, region) = (destination.country.as_str(), destination.region.as_deref());
    let taxes = taxes::in_force(&rates.taxes, country, region, now);
    let discounts = discount.map_or(&[][..], |discount| &discount.lines);
    let goods = totals(lines, discounts, Amount(0), &[])?.total;
    let grams = lines.iter().map(|line| i64::from(line.grams) * i64::from(line.quantity)).sum();
    // Nothing travels where there is nothing.
    let mut options =
        if lines.is_empty() { Vec::new() } else { shipping::options(&rates.zones, country, region, goods, grams) };
    if discount.is_some_and(|discount| discount.free_shipping) {
        for option in &mut options {
            option.price = Amount(0);
        }
    }
    let shipping = options.iter().find(|option| method.is_none_or(|method| option.code == method)).cloned();
    let carriage = shipping.as_ref().map_or(Amount(0), |option| option.price);
    Ok(Price { totals: totals(lines, discounts, carriage, &taxes)?, shipping, options })
}

/// What an order of a cart would cost, sent to `country` by the first way there is. Lines that cannot be bought are left
/// out; of which fewer are available than the line has counts as it stands.
///
/// # Errors
/// As [`totals`].
pub fn of_cart(rates: &Rates, lines: &[CartLine], country: &str, now: DateTime<Utc>) -> Result<Totals, Overflow> {
    let priced: Vec<_> = lines
        .iter()
        .filter(|line| line.is_buyable())
        .map(|line| PricedLine { unit_price: Amount(line.price_minor), quantity: line.quantity, grams: line.grams })
        .collect();
    let destination = Destination { country: country.to_owned(), region: None };
    Ok(price(rates, &priced, None, &destination, None, now)?.totals)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rate(basis_points: u32, is_included: bool, on_shipping: bool) -> TaxRate {
        TaxRate { name: "Tax".into(), rate_basis_points: basis_points, is_included, on_shipping }
    }

    fn line(minor: i64, quantity: i32) -> PricedLine {
        PricedLine { unit_price: Amount(minor), quantity, grams: 0 }
    }

    #[test]
    fn an_order_adds_up() {
        let lines = [line(4_500_000, 2), line(333, 1)];
        let totals = totals(&lines, &[], Amount(250_000), &[rate(750, false, false)]).unwrap();
        // 7.5 % of 9,000,000 is 675,000 and of 333 is 24.975.
        assert_eq!(totals.tax, Amount(675_025));
        assert_eq!(totals.total, Amount(9_000_333 + 250_000 + 675_025));
    }

    /// Ghana: three components on one base. 100.00 cedis: 15.00 + 2.50 + 2.50.
    #[test]
    fn components_have_one_base() {
        let rates = [rate(1_500, false, false), rate(250, false, false), rate(250, false, true)];
        let sums = totals(&[line(10_000, 1)], &[], Amount(1_000), &rates).unwrap();
        let parts: Vec<_> = sums.taxes.iter().map(|tax| tax.amount.0).collect();
        // The last one is on the carriage too.
        assert_eq!(parts, [1_500, 250, 275]);
        assert_eq!((sums.tax, sums.total), (Amount(2_025), Amount(13_025)));
    }

    /// 120.00 with 20 % in it is 100.00 and 20.00; what is on top counts from the 100.00.
    #[test]
    fn what_is_included_is_not_added() {
        let rates = [rate(2_000, true, false), rate(1_000, false, false)];
        let sums = totals(&[line(12_000, 1)], &[], Amount(0), &rates).unwrap();
        assert_eq!((sums.tax_included, sums.tax, sums.total), (Amount(2_000), Amount(1_000), Amount(13_000)));
        assert_eq!(sums.lines[0].tax_included, Amount(2_000));
    }

    /// Taxes are on what is paid, not on what is taken off.
    #[test]
    fn a_discount_lowers_the_tax() {
        let sums = totals(&[line(10_000, 1)], &[Amount(4_000)], Amount(0), &[rate(750, false, false)]).unwrap();
        assert_eq!((sums.tax, sums.total), (Amount(450), Amount(6_450)));
    }

    #[test]
    fn sums_out_of_range_are_told() {
        assert!(totals(&[line(i64::MAX, 2)], &[], Amount(0), &[]).is_err());
        assert!(totals(&[line(i64::MAX, 1), line(1, 1)], &[], Amount(0), &[]).is_err());
    }

    proptest! {
        #[test]
        fn lines_tax_and_shipping_less_discount_make_the_total(
            lines in proptest::collection::vec((0i64..1_000_000_000_000, 1i32..1_000, 0i64..=100), 1..100),
            rates in proptest::collection::vec((0u32..=10_000, any::<bool>(), any::<bool>()), 0..5),
            carriage in 0i64..1_000_000_000,
        ) {
            let rates: Vec<_> = rates.into_iter().map(|(points, included, on)| rate(points, included, on)).collect();
            let discounts: Vec<_> =
                lines.iter().map(|(minor, quantity, share)| Amount(minor * i64::from(*quantity) / 100 * share)).collect();
            let lines: Vec<_> = lines.into_iter().map(|(minor, quantity, _)| line(minor, quantity)).collect();
            let t = totals(&lines, &discounts, Amount(carriage), &rates).unwrap();
            let sum = |of: fn(&LineTotals) -> Amount| t.lines.iter().map(|line| of(line).0).sum::<i64>();
            prop_assert_eq!(t.subtotal.0 - t.discount.0 + t.shipping.0 + t.tax.0, t.total.0);
            prop_assert_eq!(sum(|line| line.total), t.subtotal.0);
            prop_assert_eq!(sum(|line| line.discount), t.discount.0);
            // What is not on the lines is on the carriage.
            let on_lines = sum(|line| line.tax) + sum(|line| line.tax_included);
            let of_carriage: u32 = rates.iter().filter(|rate| rate.on_shipping).map(|rate| rate.rate_basis_points).sum();
            let rest = t.tax.0 + t.tax_included.0 - on_lines;
            prop_assert!(rest >= 0 && (of_carriage > 0 || rest == 0));
            let components = |included: bool| {
                t.taxes.iter().filter(|tax| tax.rate.is_included == included).map(|tax| tax.amount.0).sum::<i64>()
            };
            prop_assert_eq!(components(false), t.tax.0);
            prop_assert_eq!(components(true), t.tax_included.0);
            prop_assert!(t.lines.iter().all(|line| line.tax.0 >= 0 && line.discount <= line.total));
        }
    }
}
