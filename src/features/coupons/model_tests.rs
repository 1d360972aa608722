use chrono::{TimeDelta, TimeZone};
use proptest::prelude::*;

use super::*;
use crate::platform::money::MAX_MINOR;

fn now() -> chrono::DateTime<chrono::Utc> {
    chrono::Utc.with_ymd_and_hms(2026, 11, 28, 12, 0, 0).unwrap()
}

fn coupon(worth: Worth) -> Coupon {
    Coupon {
        id: CouponId::new(),
        code: "WELCOME".parse().unwrap(),
        version: 1,
        worth,
        min_subtotal: None,
        starts_at: None,
        ends_at: None,
        usage_limit: None,
        per_customer_limit: None,
        first_order_only: false,
        is_active: true,
        used_count: 0,
    }
}

fn lines(totals: &[(i64, bool)]) -> Vec<CouponLine> {
    let line = |(total, in_scope): &(i64, bool)| CouponLine { total: Amount(*total), in_scope: *in_scope };
    totals.iter().map(line).collect()
}

fn facts(uses: i64, is_first_order: bool) -> Facts {
    Facts { now: now(), customer: Some(Customer { key: CustomerKey([7; 32]), uses, is_first_order }) }
}

/// What is taken off each line.
fn taken(worth: Worth, totals: &[(i64, bool)]) -> Vec<i64> {
    let facts = Facts { now: now(), customer: None };
    discount(&coupon(worth), &lines(totals), &facts).unwrap().lines.iter().map(|line| line.0).collect()
}

fn percentage(rate_basis_points: u32, max: Option<i64>) -> Worth {
    Worth::Percentage { rate_basis_points, max: max.map(Amount) }
}

#[test]
fn a_code_is_one_however_it_is_typed() {
    for text in ["welcome10", " Welcome10 ", "WELCOME10"] {
        assert_eq!(text.parse::<Code>().unwrap().as_str(), "WELCOME10");
    }
    assert!("A-_".parse::<Code>().is_ok());
    // The long s and the dotless i become plain letters in upper case, and are none.
    for text in ["", "AB", &"A".repeat(41), "A B", "WÉLCOME", "ſale", "salı", "A%B", "A\u{200b}BC", "ＡＢＣ"] {
        assert!(text.parse::<Code>().is_err(), "{text}");
    }
}

#[test]
fn an_amount_is_taken_of_what_it_is_for() {
    assert_eq!(taken(Worth::Fixed(Amount(500)), &[(1_000, true), (3_000, true)]), [125, 375]);
    assert_eq!(taken(Worth::Fixed(Amount(500)), &[(1_000, false), (3_000, true)]), [0, 500]);
    assert_eq!(taken(Worth::Fixed(Amount(500)), &[(100, true), (200, true), (9_000, false)]), [100, 200, 0]);
    assert_eq!(taken(Worth::Fixed(Amount(100)), &[(1, true), (1, true), (1, true)]), [1, 1, 1]);
    assert_eq!(taken(Worth::Fixed(Amount(2)), &[(1, true), (1, true), (1, true)]), [1, 1, 0]);
}

#[test]
fn a_share_is_rounded_half_to_even_and_capped() {
    // 7.5 % of 20 is 1.5, of 60 is 4.5 and of 100 is 7.5.
    assert_eq!(taken(percentage(750, None), &[(20, true), (60, true), (100, true), (100, false)]), [2, 4, 8, 0]);
    assert_eq!(taken(percentage(10_000, None), &[(19, true), (1, true)]), [19, 1]);
    assert_eq!(taken(percentage(1_000, Some(300)), &[(1_000, true), (1_000, true)]), [100, 100]);
    assert_eq!(taken(percentage(5_000, Some(300)), &[(1_000, true), (2_000, true)]), [100, 200]);
    assert_eq!(taken(percentage(5_000, Some(1_500)), &[(1_000, true), (2_000, true)]), [500, 1_000]);
}

#[test]
fn free_shipping_takes_nothing_off_the_goods() {
    let facts = Facts { now: now(), customer: None };
    let free = discount(&coupon(Worth::FreeShipping), &lines(&[(500, true)]), &facts).unwrap();
    assert_eq!((free.total(), free.lines.len(), free.free_shipping), (Amount(0), 1, true));
}

#[test]
fn each_refusal_says_what_is_in_the_way() {
    let base = || coupon(Worth::Fixed(Amount(100)));
    let goods = lines(&[(1_000, true), (500, false)]);
    let guest = Facts { now: now(), customer: None };
    let (later, before) = (now() + TimeDelta::hours(1), now() - TimeDelta::hours(1));
    for (coupon, facts, refusal) in [
        (Coupon { is_active: false, ..base() }, guest, Refusal::Inactive),
        (Coupon { starts_at: Some(later), ..base() }, guest, Refusal::NotYet { starts_at: later }),
        (Coupon { ends_at: Some(now()), ..base() }, guest, Refusal::Expired),
        (Coupon { usage_limit: Some(3), used_count: 3, ..base() }, guest, Refusal::UsedUp),
        (
            Coupon { min_subtotal: Some(Amount(1_501)), ..base() },
            guest,
            Refusal::MinimumNotReached { minimum: Amount(1_501), missing: Amount(1) },
        ),
        (Coupon { per_customer_limit: Some(2), ..base() }, guest, Refusal::CustomerNeeded),
        (Coupon { per_customer_limit: Some(2), ..base() }, facts(2, false), Refusal::UsedUpByCustomer { most: 2 }),
        (Coupon { first_order_only: true, ..base() }, guest, Refusal::CustomerNeeded),
        (Coupon { first_order_only: true, ..base() }, facts(0, false), Refusal::FirstOrderOnly),
    ] {
        assert_eq!(discount(&coupon, &goods, &facts), Err(refusal));
    }
    for coupon in [
        Coupon { starts_at: Some(now()), ends_at: Some(later), ..base() },
        Coupon { starts_at: Some(before), usage_limit: Some(3), used_count: 2, ..base() },
        // Of all goods, whatever the coupon is for.
        Coupon { min_subtotal: Some(Amount(1_500)), ..base() },
    ] {
        assert!(discount(&coupon, &goods, &guest).is_ok(), "{coupon:?}");
    }
    let limited = Coupon { per_customer_limit: Some(2), first_order_only: true, ..base() };
    assert!(discount(&limited, &goods, &facts(0, true)).is_ok());
    for none in [lines(&[(1_000, false)]), lines(&[(0, true)]), Vec::new()] {
        assert_eq!(discount(&base(), &none, &guest), Err(Refusal::NothingInScope));
    }
}

proptest! {
    #[test]
    fn a_discount_is_exact_and_within_its_lines(
        fixed in 1..=MAX_MINOR,
        rate in 1u32..=10_000,
        max in proptest::option::of(1..=MAX_MINOR),
        totals in proptest::collection::vec((0..=MAX_MINOR, any::<bool>()), 1..40),
    ) {
        let goods = lines(&totals);
        let in_scope: i64 = totals.iter().filter(|(_, in_scope)| *in_scope).map(|(total, _)| total).sum();
        prop_assume!(in_scope > 0);
        let facts = Facts { now: now(), customer: None };
        let all = |worth| discount(&coupon(worth), &goods, &facts).unwrap();
        let of_amount = all(Worth::Fixed(Amount(fixed)));
        prop_assert_eq!(of_amount.total().0, fixed.min(in_scope));
        let of_share = all(percentage(rate, None));
        let capped = all(percentage(rate, max));
        prop_assert_eq!(capped.total().0, max.map_or(of_share.total().0, |max| max.min(of_share.total().0)));
        for (line, (total, is_in_scope)) in of_share.lines.iter().zip(&totals) {
            let exact = i128::from(*total) * i128::from(rate);
            let off = i128::from(line.0) * 10_000 - exact;
            prop_assert!(!is_in_scope || off.abs() <= 5_000);
        }
        for one in [&of_amount, &of_share, &capped] {
            prop_assert_eq!(one.lines.len(), totals.len());
            for (line, (total, is_in_scope)) in one.lines.iter().zip(&totals) {
                let most = if *is_in_scope { *total } else { 0 };
                prop_assert!((0..=most).contains(&line.0));
            }
        }
        prop_assert_eq!(all(percentage(rate, max)), capped);
    }
}
