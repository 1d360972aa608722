use serde_json::json;

use super::*;
use crate::features::notifications::mail::{
    AccountSummary, DisputeTurn, LowStockLine, MoneyAlert, OrderLine, OrderSummary, ParcelSummary, PaymentSummary,
    ReconciledSum, RefundSummary, RefundTurn, ReturnSummary, ReturnTurn, ReturnedLine, SecurityChange, ShippingAddress,
};

fn store() -> Store<'static> {
    Store {
        name: "AGAPE LOOKS",
        logo_url: None,
        accent: "#8f2742",
        support_email: "hello@agapelooks.example",
        url: "https://agapelooks.example",
        address: "12 Bode Thomas Street, Surulere, Lagos",
        utc_offset_minutes: 60,
    }
}

fn order() -> OrderSummary {
    let line = |title: &str, variant: Option<&str>, quantity: i32, unit: i64| OrderLine {
        title: title.to_owned(),
        variant: variant.map(str::to_owned),
        quantity,
        unit_price_minor: unit,
        total_minor: unit * i64::from(quantity),
        image_url: None,
    };
    OrderSummary {
        number: "AG-100042".to_owned(),
        placed_at: "2026-11-22T23:30:00Z".parse().expect("a date"),
        name: "Adésùwà Okoye".to_owned(),
        currency: "NGN".to_owned(),
        lines: vec![
            line("Bonwire kente, handwoven", Some("Gold / 6 yards"), 2, 4_500_000),
            line("Aṣọ-òkè cap", None, 1, 1_250_050),
        ],
        subtotal_minor: 10_250_050,
        discount_minor: 1_000_000,
        shipping_minor: 350_000,
        tax_minor: 768_754,
        total_minor: 10_368_804,
        shipping_address: ShippingAddress {
            name: "Adésùwà Okoye".to_owned(),
            lines: vec!["5 Admiralty Way".to_owned(), "Lekki, Lagos".to_owned()],
            phone: Some("+234 803 000 0000".to_owned()),
        },
        shipping_method: "Lagos courier, 1 to 2 days".to_owned(),
    }
}

fn payment() -> PaymentSummary {
    PaymentSummary {
        reference: "agp_7f3k2".to_owned(),
        paid_at: "2026-11-23T08:05:00Z".parse().expect("a date"),
        amount_minor: 10_368_804,
        method_label: "Visa ending 4081".to_owned(),
    }
}

fn verify(name: &str) -> Mail {
    Mail::VerifyEmail {
        name: name.to_owned(),
        link: "https://agapelooks.example/verify?token=abc&lang=en".to_owned(),
        valid_hours: 24,
    }
}

fn back_in_stock(title: &str, variant: Option<&str>) -> Mail {
    Mail::BackInStock {
        title: title.to_owned(),
        variant: variant.map(str::to_owned),
        price_minor: 4_500_050,
        currency: "NGN".to_owned(),
        image_url: Some("https://agapelooks.example/kente.jpg?w=480&h=480".to_owned()),
        link: "https://agapelooks.example/product/kente".to_owned(),
        stop_link: "https://agapelooks.example/back-in-stock/stop?token=00ff".to_owned(),
    }
}

fn low_stock(lines: usize, total: usize) -> Mail {
    let line = |n: usize| LowStockLine {
        title: format!("Kente <{n}>\nFree!"),
        variant: Some("Gold / 6 yards".to_owned()),
        sku: format!("K-{n}"),
        available: 2,
        threshold: 10,
    };
    Mail::LowStock { lines: (1..=lines).map(line).collect(), total }
}

fn order_on_review() -> Mail {
    Mail::OrderOnReview {
        order_number: "AG-100042".into(),
        amount_minor: 10_368_804,
        currency: "NGN".into(),
        score: 60,
        reasons: vec!["A guest pays ₦103,688.04".into(), "7 payments were started within an hour".into()],
    }
}

fn return_requested() -> Mail {
    let line = |title: &str, variant: Option<&str>| ReturnedLine {
        title: title.into(),
        variant: variant.map(str::to_owned),
        quantity: 2,
        reason: "changed mind".into(),
    };
    let lines = vec![line("Kente <b>\nFree!", Some("Gold / 6 yards")), line("Lace", None)];
    Mail::ReturnRequested { order_number: "AG-100042".into(), lines }
}

fn webhook_disabled() -> Mail {
    Mail::WebhookDisabled { url: "https://erp.example/a?b=1&c=<2>".into(), reason: "It answers 410 <Gone>.".into() }
}

fn reconciliation(findings: Vec<(String, i64)>, failure: Option<&str>) -> Mail {
    let sum = ReconciledSum {
        currency: "NGN".into(),
        their_count: 3,
        their_minor: 4_500_050,
        their_fees_minor: 6_750,
        our_count: 2,
        our_minor: 3_000_000,
    };
    Mail::Reconciliation {
        id: "01936f5e".into(),
        from: "2026-11-26T23:00:00Z".parse().expect("a date"),
        until: "2026-11-27T23:00:00Z".parse().expect("a date"),
        sums: vec![sum],
        found: findings.iter().map(|(_, count)| count).sum(),
        open: 1,
        findings,
        failure: failure.map(str::to_owned),
    }
}

fn dispute(turn: DisputeTurn, order_number: Option<&str>) -> Mail {
    Mail::Dispute {
        number: "2867".into(),
        turn,
        order_number: order_number.map(str::to_owned),
        reference: Some("AGP2026000001H-x1".into()),
        category: Some("charge<back>".into()),
        amount_minor: Some(4_500_050),
        currency: "NGN".into(),
        due_at: Some("2026-11-28T18:00:00Z".parse().expect("a date")),
        resolution: None,
    }
}

const TURNS: [DisputeTurn; 4] = [DisputeTurn::Opened, DisputeTurn::Due, DisputeTurn::Lost, DisputeTurn::Won];

const ALERTS: [MoneyAlert; 8] = [
    MoneyAlert::PaymentFlagged,
    MoneyAlert::PaymentReturned,
    MoneyAlert::RefundFailed,
    MoneyAlert::RefundNeedsAttention,
    MoneyAlert::RefundContradicted,
    MoneyAlert::RefundBeyond,
    MoneyAlert::DisputeBeyond,
    MoneyAlert::OtherCurrency,
];

fn money_alert(alert: MoneyAlert) -> Mail {
    Mail::MoneyAlert {
        alert,
        order_number: "AG-100042".to_owned(),
        amount_minor: 4_500_050,
        currency: "NGN".to_owned(),
        words: Some("The bank <said> no".to_owned()),
    }
}

/// A link with a character that is escaped in HTML.
const LINK: &str = "https://agapelooks.example/account?token=abc&lang=en";

const CHANGES: [SecurityChange; 6] = [
    SecurityChange::PasswordChanged,
    SecurityChange::TwoFactorEnabled,
    SecurityChange::TwoFactorDisabled,
    SecurityChange::RecoveryCodesReplaced,
    SecurityChange::RecoveryCodeUsed,
    SecurityChange::SignInReused,
];

fn reset(name: &str, valid_minutes: u32) -> Mail {
    Mail::PasswordReset { name: name.to_owned(), link: LINK.to_owned(), valid_minutes }
}

fn locked(name: &str, failures: u32, lock_minutes: u32) -> Mail {
    Mail::AccountLocked { name: name.to_owned(), failures, lock_minutes, link: LINK.to_owned() }
}

fn notice(name: &str, change: SecurityChange) -> Mail {
    Mail::SecurityNotice {
        name: name.to_owned(),
        change,
        at: "2026-11-23T08:05:00Z".parse().expect("a date"),
        link: LINK.to_owned(),
    }
}

/// All mails about an account but the verification.
fn account_mails(name: &str) -> Vec<Mail> {
    let mut mails = vec![reset(name, 60), locked(name, 5, 15)];
    mails.extend(CHANGES.map(|change| notice(name, change)));
    mails
}

fn confirmation(order: OrderSummary) -> Mail {
    Mail::OrderConfirmation {
        order,
        pay_link: Some("https://pay.example/x1".to_owned()),
        transfer: Vec::new(),
        on_delivery: false,
    }
}

fn receipt(order: OrderSummary) -> Mail {
    Mail::PaymentReceipt { order, payment: payment() }
}

fn reminder(name: &str, more: usize) -> Mail {
    Mail::AbandonedCart {
        name: name.to_owned(),
        lines: order().lines,
        more,
        currency: "NGN".to_owned(),
        link: LINK.to_owned(),
        unsubscribe_link: "https://agapelooks.example/unsubscribe?token=x-1_".to_owned(),
    }
}

/// The mails about money that goes back.
fn refund_mails(words: &str) -> Vec<Mail> {
    let refund = |turn| Mail::OrderRefund {
        order: order(),
        refund: RefundSummary {
            turn,
            amount_minor: 4_500_050,
            currency: "NGN".to_owned(),
            words: Some(words.to_owned()),
        },
    };
    [RefundTurn::Requested, RefundTurn::Processed, RefundTurn::Failed].map(refund).into()
}

/// The mails about an order after its payment.
fn later_mails(words: &str) -> Vec<Mail> {
    let parcel = ParcelSummary {
        lines: order().lines,
        carrier: Some("DHL".to_owned()),
        tracking_number: Some("JD-1".to_owned()),
        link: Some("https://www.dhl.com/track?id=JD-1&lang=en".to_owned()),
        note: Some(words.to_owned()),
    };
    let back = |turn| Mail::OrderReturn {
        order: order(),
        back: ReturnSummary { turn, lines: order().lines, words: Some(words.to_owned()) },
    };
    let cancelled =
        |refund_minor| Mail::OrderCancelled { order: order(), reason: Some(words.to_owned()), refund_minor };
    let mut mails = vec![
        Mail::OrderShipped { order: order(), parcel: parcel.clone() },
        Mail::OrderDelivered { order: order(), parcel },
        cancelled(10_368_804),
        cancelled(0),
    ];
    mails.extend([ReturnTurn::Requested, ReturnTurn::Approved, ReturnTurn::Rejected, ReturnTurn::Received].map(back));
    mails
}

fn rendered(mail: &Mail) -> Rendered {
    render(&store(), mail).expect("rendered")
}

/// Undoes the escaping of values, so that tests can look for what people see.
fn visible(html: &str) -> String {
    html.replace("&#x2f;", "/")
        .replace("&#x27;", "'")
        .replace("&quot;", "\"")
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&amp;", "&")
}

#[test]
fn every_mail_renders_the_same_each_time() {
    let mut mails = account_mails("Ama");
    mails.extend([verify("Ama"), confirmation(order()), receipt(order()), reminder("Ama", 3)]);
    mails.extend([
        back_in_stock("Kente", None),
        low_stock(1, 1),
        low_stock(2, 9),
        webhook_disabled(),
        order_on_review(),
        return_requested(),
    ]);
    mails.extend(later_mails("Mind the dog"));
    mails.extend([
        reconciliation(vec![], None),
        reconciliation(vec![("AMOUNT_MISMATCH".into(), 2)], Some("It is away.")),
    ]);
    mails.extend(TURNS.map(|turn| dispute(turn, None)));
    mails.extend(ALERTS.map(money_alert));
    mails.extend(refund_mails("Mind the dog"));
    for mail in mails {
        let first = rendered(&mail);
        assert_eq!(first, rendered(&mail));
        assert!(first.html.starts_with("<!doctype html><html lang=\"en\""));
        assert!(first.html.contains("prefers-color-scheme: dark"));
        assert!(!first.html.contains("<mj-"), "unknown MJML element");
        assert!(!first.html.contains("fonts.googleapis"));
        assert!(!first.html.contains("{{") && !first.text.contains("{{"));
        assert!(first.text.contains("hello@agapelooks.example"));
    }
}

#[test]
fn a_reconciliation_tells_both_sides() {
    let mail = rendered(&reconciliation(vec![("AMOUNT_MISMATCH".into(), 2)], None));
    assert_eq!(mail.subject, "Reconciliation: 2 findings, 1 open");
    for fact in ["AMOUNT_MISMATCH: 2", "₦45,000.50", "₦67.50", "₦30,000.00", "27 November 2026 at 00:00"] {
        assert!(mail.text.contains(fact) && visible(&mail.html).contains(fact), "{fact}: {}", mail.text);
    }
    assert_eq!(rendered(&reconciliation(vec![], None)).subject, "Reconciliation: both sides are the same");
    let mail = rendered(&reconciliation(vec![], Some("Paystack\nis away.")));
    assert_eq!(mail.subject, "The reconciliation has failed");
    assert!(mail.text.contains("Paystack is away."), "{}", mail.text);
}

#[test]
fn a_dispute_tells_what_is_due() {
    let mail = rendered(&dispute(DisputeTurn::Due, Some("AGP2026000001H")));
    assert_eq!(mail.subject, "Answer until 28 November 2026 at 19:00: a dispute about order AGP2026000001H");
    for fact in ["₦45,000.50", "AGP2026000001H", "charge<back>"] {
        assert!(mail.text.contains(fact) && visible(&mail.html).contains(fact), "{fact}: {}", mail.text);
    }
    let subjects = TURNS.map(|turn| rendered(&dispute(turn, None)).subject);
    assert_eq!(subjects[0], "A dispute about payment AGP2026000001H-x1");
    assert!(subjects[2].contains("lost") && subjects[3].contains("won"), "{subjects:?}");
}

#[test]
fn verification_has_the_link_in_both_parts() {
    let mail = rendered(&verify("Ama"));
    let link = "https://agapelooks.example/verify?token=abc&lang=en";
    assert_eq!(mail.subject, "Confirm your email address for AGAPE LOOKS");
    assert!(mail.text.contains(&format!("\n{link}\n")));
    assert!(visible(&mail.html).contains(&format!("href=\"{link}\"")));
    assert!(mail.html.contains("token=abc&amp;lang=en"));
    assert!(mail.text.contains("Hello Ama,") && mail.html.contains("Hello Ama,"));
    assert!(mail.text.contains("24 hours") && mail.html.contains("24 hours"));
}

#[test]
fn mails_about_an_account_have_their_link_in_both_parts() {
    for mail in account_mails("Ama") {
        let mail = rendered(&mail);
        assert!(mail.text.contains(&format!("\n\n{LINK}\n")), "{}", mail.text);
        assert!(visible(&mail.html).contains(&format!("href=\"{LINK}\"")), "{}", mail.subject);
        assert!(mail.html.contains("token=abc&amp;lang=en"));
    }
}

#[test]
fn mails_about_an_account_greet_a_hostile_name_without_harm() {
    for mail in account_mails("<b>x</b> http://evil") {
        let mail = rendered(&mail);
        assert!(mail.text.contains("\nHello,\n") && mail.html.contains("Hello,"), "{}", mail.subject);
        for part in [&mail.subject, &mail.text, &mail.html] {
            assert!(!part.contains("evil") && !part.contains("<b>x"), "{part}");
        }
    }
    for mail in account_mails("<b>x") {
        let mail = rendered(&mail);
        assert!(mail.text.contains("\nHello <b>x,\n"), "{}", mail.text);
        assert!(mail.html.contains("Hello &lt;b&gt;x,") && !mail.html.contains("<b>x"), "{}", mail.subject);
    }
}

#[test]
fn a_password_mail_says_how_long_its_link_works() {
    for (minutes, text) in [(1, "for 1 minute."), (45, "for 45 minutes."), (60, "for 1 hour."), (120, "for 2 hours.")] {
        let mail = rendered(&reset("Ama", minutes));
        assert_eq!(mail.subject, "Choose a new password for AGAPE LOOKS");
        assert!(mail.text.contains(text) && mail.html.contains(text), "{text} in {}", mail.text);
        assert!(mail.text.contains("You did not ask for it?") && mail.html.contains("You did not ask for it?"));
    }
    assert_eq!(duration(0), "0 minutes");
    assert_eq!(duration(90), "90 minutes");
    assert_eq!(duration(1440), "24 hours");
}

#[test]
fn a_lock_mail_says_how_it_came_and_how_long_it_holds() {
    let mail = rendered(&locked("Ama", 5, 15));
    assert_eq!(mail.subject, "Your AGAPE LOOKS account is locked for 15 minutes");
    for fact in ["5 failed sign-ins", "15 minutes"] {
        assert!(mail.text.contains(fact) && mail.html.contains(fact), "{fact} in {}", mail.text);
    }
    let mail = rendered(&locked("Ama", 1, 60));
    for fact in ["1 failed sign-in ", "1 hour"] {
        assert!(mail.text.contains(fact) && mail.html.contains(fact), "{fact} in {}", mail.text);
    }
}

#[test]
fn each_change_has_a_subject_and_words_of_its_own() {
    let mails = CHANGES.map(|change| rendered(&notice("Ama", change)));
    for (index, mail) in mails.iter().enumerate() {
        assert!(!mail.subject.is_empty(), "{:?}", CHANGES[index]);
        let heading = format!("{}\n\nHello Ama,\n\n", mail.subject.to_uppercase());
        let (_, words) = mail.text.split_once(&heading).expect("a heading and a greeting");
        // Shown on the shop's clock, and in the part that differs.
        let words = words.split("\n\n").next().expect("a paragraph").replace('\n', " ");
        assert!(words.contains("23 November 2026 at 09:05"), "{words}");
        assert!(mail.html.contains("23 November 2026 at 09:05"), "{}", mail.subject);
        assert!(mail.html.contains(&words), "{words}");
        for other in &mails[index + 1..] {
            assert_ne!(mail.subject, other.subject);
            assert!(!other.html.contains(&words), "{words}");
        }
    }
    assert_eq!(mails[0].subject, "Your password was changed");
}

#[test]
fn both_parts_of_order_mails_have_every_amount_and_fact() {
    let facts = [
        "AG-100042",
        "23 November 2026",
        "Bonwire kente, handwoven",
        "Gold / 6 yards",
        "Aṣọ-òkè cap",
        "₦45,000.00",
        "₦90,000.00",
        "₦12,500.50",
        "₦102,500.50",
        "-₦10,000.00",
        "₦3,500.00",
        "₦7,687.54",
        "₦103,688.04",
        "Adésùwà Okoye",
        "5 Admiralty Way",
        "Lekki, Lagos",
        "+234 803 000 0000",
        "Lagos courier, 1 to 2 days",
    ];
    for mail in [confirmation(order()), receipt(order())] {
        let mail = rendered(&mail);
        for fact in facts {
            assert!(mail.text.contains(fact), "{fact} in {}", mail.text);
            assert!(visible(&mail.html).contains(fact), "{fact}");
        }
    }
}

#[test]
fn the_confirmation_asks_for_payment_only_when_it_is_due() {
    let due = rendered(&confirmation(order()));
    assert!(due.text.contains("https://pay.example/x1"));
    assert!(due.html.contains("Pay ₦103,688.04"));
    let without = |transfer, on_delivery| {
        rendered(&Mail::OrderConfirmation { order: order(), pay_link: None, transfer, on_delivery })
    };
    let account = AccountSummary {
        bank: "First <Bank>".into(),
        name: "AGAPE LOOKS LTD".into(),
        number: "0123456789".into(),
        note: Some("Sort code 12-34".into()),
    };
    let transfer = without(vec![account], false);
    for fact in ["First <Bank>", "AGAPE LOOKS LTD", "0123456789", "Sort code 12-34", "AG-100042", "₦103,688.04"] {
        assert!(transfer.text.contains(fact), "{fact}:\n{}", transfer.text);
        assert!(transfer.html.contains(&fact.replace('<', "&lt;").replace('>', "&gt;")), "{fact}");
    }
    let on_delivery = without(Vec::new(), true);
    assert!(on_delivery.text.contains("You pay ₦103,688.04 when it arrives"), "{}", on_delivery.text);
    assert!(on_delivery.html.contains("when it arrives"));
    let settled = without(Vec::new(), false);
    assert!(!settled.text.contains("Pay ") && !settled.html.contains("Pay "));
}

#[test]
fn the_receipt_says_how_and_when_it_was_paid() {
    let mail = rendered(&receipt(order()));
    assert_eq!(mail.subject, "Receipt for order AG-100042 at AGAPE LOOKS");
    for fact in ["Visa ending 4081", "agp_7f3k2", "23 November 2026 at 09:05"] {
        assert!(mail.text.contains(fact) && mail.html.contains(fact), "{fact}");
    }
}

#[test]
fn sums_of_nothing_are_left_out() {
    let mut order = order();
    order.discount_minor = 0;
    order.tax_minor = 0;
    order.shipping_minor = 0;
    let mail = rendered(&receipt(order));
    for part in [&mail.text, &mail.html] {
        assert!(!part.contains("Discount") && !part.contains(">Tax<") && !part.contains("Tax:"));
        assert!(part.contains("Free"));
    }
}

#[test]
fn values_are_escaped_in_html_and_plain_in_text() {
    let mut order = order();
    order.name = "\"Ann\" & Bob".to_owned();
    order.lines[0].title = "<script>alert('x')</script> \\ </mj-table>".to_owned();
    order.lines[0].variant = Some("{{ 7 * 7 }} &lt;b&gt; --> <!--".to_owned());
    order.lines[0].image_url = Some("https://x.example/a.jpg\" onerror=\"alert(1)".to_owned());
    order.shipping_address.name = "<mj-include path=\"/etc/passwd\" />".to_owned();
    for mail in [confirmation(order.clone()), receipt(order)] {
        let mail = rendered(&mail);
        assert!(mail.text.contains("Hello \"Ann\" & Bob,"));
        assert!(mail.text.contains("<script>alert('x')</script> \\ </mj-table>"));
        assert!(mail.text.contains("{{ 7 * 7 }} &lt;b&gt; --> <!--"));
        assert!(mail.html.contains("Hello &quot;Ann&quot; &amp; Bob,"));
        assert!(mail.html.contains("&lt;script&gt;alert(&#x27;x&#x27;)&lt;&#x2f;script&gt; \\ "));
        assert!(mail.html.contains("{{ 7 * 7 }} &amp;lt;b&amp;gt; --&gt; &lt;!--"));
        assert!(mail.html.contains("a.jpg&quot; onerror=&quot;alert(1)"));
        assert!(!mail.html.contains("<script") && !mail.html.contains("onerror=\""));
    }
}

#[test]
fn a_value_cannot_break_out_of_the_subject_or_the_greeting() {
    let mut order = order();
    order.number = "1\r\nBcc: everyone@example.com\u{2028}\u{0}\u{1}\u{85}\u{ffff}x".to_owned();
    let mail = rendered(&receipt(order));
    assert_eq!(mail.subject, "Receipt for order 1 Bcc: everyone@example.com \u{ffff}x at AGAPE LOOKS");
    for name in
        ["Ann https://evil.example", "Win now at evil.example", "me@evil.example", &"very long ".repeat(20), " \n "]
    {
        assert!(rendered(&verify(name)).text.contains("\nHello,\n"), "{name}");
    }
    assert_eq!(greeting("Dr. Ann\n\nMensah"), "Hello Dr. Ann Mensah");
    assert_eq!(greeting("Ọlá O'Brien-Àjàyí Jr."), "Hello Ọlá O'Brien-Àjàyí Jr.");
}

#[test]
fn the_stores_logo_and_colours_are_used() {
    let store = Store { logo_url: Some("https://agapelooks.example/logo.png"), accent: "#f2c14e", ..store() };
    let html = render(&store, &verify("Ama")).expect("rendered").html;
    assert!(visible(&html).contains("src=\"https://agapelooks.example/logo.png\""));
    assert!(html.contains("alt=\"AGAPE LOOKS\""));
    assert!(html.contains("background:#f2c14e") && html.contains("color:#1c1815"));
    assert_eq!(text_colour_on("#8f2742"), "#ffffff");
    assert_eq!(text_colour_on("teal"), "#ffffff");
    assert_eq!(text_colour_on("#₦₦"), "#ffffff");
}

#[test]
fn mails_keep_their_shape_as_json() {
    let json = serde_json::to_value(verify("Ama")).expect("serialized");
    assert_eq!(
        json,
        json!({
            "kind": "verify_email",
            "name": "Ama",
            "link": "https://agapelooks.example/verify?token=abc&lang=en",
            "valid_hours": 24,
        })
    );
    assert_eq!(
        serde_json::to_value(notice("Ama", SecurityChange::TwoFactorEnabled)).expect("serialized"),
        json!({
            "kind": "security_notice",
            "name": "Ama",
            "change": "two_factor_enabled",
            "at": "2026-11-23T08:05:00Z",
            "link": LINK,
        })
    );
    let mut mails = account_mails("Ama");
    mails.extend([verify("Ama"), confirmation(order()), receipt(order())]);
    mails.extend([
        back_in_stock("Kente", None),
        low_stock(1, 1),
        low_stock(2, 9),
        webhook_disabled(),
        order_on_review(),
        return_requested(),
    ]);
    mails.extend(ALERTS.map(money_alert));
    mails.extend(later_mails("Mind the dog"));
    mails.extend(refund_mails("Mind the dog"));
    for mail in mails {
        let json = serde_json::to_value(&mail).expect("serialized");
        assert_eq!(json["kind"], mail.kind());
        assert_eq!(serde_json::from_value::<Mail>(json).expect("read"), mail);
    }
}

#[test]
fn a_mail_of_what_is_back_says_what_it_costs_and_how_to_stop() {
    let mail = rendered(&back_in_stock("Kente <b>\nFree!", Some("Gold / 6 yards")));
    assert_eq!(mail.subject, "Kente <b> Free! is back");
    assert!(mail.text.contains("Kente <b> Free! (Gold / 6 yards)\n₦45,000.50\n"), "{}", mail.text);
    for part in [&mail.text, &visible(&mail.html)] {
        assert!(part.contains("https://agapelooks.example/product/kente"));
        assert!(part.contains("https://agapelooks.example/back-in-stock/stop?token=00ff"));
    }
    assert!(mail.html.contains("Kente &lt;b&gt;") && !mail.html.contains("Kente <b>"), "{}", mail.html);
}

#[test]
fn a_mail_of_low_stock_names_the_first_and_counts_the_rest() {
    let one = rendered(&low_stock(1, 1));
    assert_eq!(one.subject, "Low stock: Kente <1> Free! (2 left)");
    assert!(!one.text.contains("more") && one.text.contains("SKU K-1, warned at 10"), "{}", one.text);
    let many = rendered(&low_stock(2, 9));
    assert_eq!(many.subject, "Low stock: 9 variants");
    assert!(many.text.contains("2 left of Kente <2> Free! (Gold / 6 yards)\n"), "{}", many.text);
    assert!(many.text.contains("and 7 more") && many.html.contains("and 7 more"), "{}", many.text);
}

#[test]
fn a_mail_of_a_webhook_says_which_and_why() {
    let mail = rendered(&webhook_disabled());
    assert_eq!(mail.subject, "A webhook was turned off");
    assert!(mail.text.contains("https://erp.example/a?b=1&c=<2>\n") && mail.text.contains("It answers 410 <Gone>."));
    assert!(mail.html.contains("b=1&amp;c=&lt;2&gt;") && !mail.html.contains("<Gone>"), "{}", mail.html);
}

#[test]
fn a_mail_of_a_review_says_what_is_odd() {
    let mail = rendered(&order_on_review());
    assert_eq!(mail.subject, "A paid order waits for you: AG-100042");
    for fact in ["score 60", "₦103,688.04", "A guest pays ₦103,688.04", "7 payments were started within an hour"] {
        assert!(mail.text.contains(fact) && mail.html.contains(fact), "{fact}:\n{}", mail.text);
    }
}

#[test]
fn a_mail_of_a_return_says_what_is_to_come_back() {
    let mail = rendered(&return_requested());
    assert_eq!(mail.subject, "A return waits for you: AG-100042");
    assert!(mail.text.contains("- 2 × Kente <b> Free! (Gold / 6 yards): changed mind\n"), "{}", mail.text);
    assert!(mail.text.contains("- 2 × Lace: changed mind\n"), "{}", mail.text);
    assert!(visible(&mail.html).contains("2 × Lace: changed mind"), "{}", mail.html);
    assert!(mail.html.contains("Kente &lt;b&gt;") && !mail.html.contains("Kente <b>"), "{}", mail.html);
}

#[test]
fn a_mail_of_a_refund_says_how_much_and_what_has_come_of_it() {
    let mails = refund_mails("Mind the <dog>\nhttps://evil.example");
    let texts: Vec<_> = mails.iter().map(rendered).collect();
    for mail in &texts {
        assert!(mail.subject.contains("AG-100042"), "{}", mail.subject);
        assert!(mail.text.contains("₦45,000.50") && visible(&mail.html).contains("₦45,000.50"), "{}", mail.text);
        assert!(
            mail.text.contains("Mind the <dog> https://evil.example") && !mail.html.contains("<dog>"),
            "{}",
            mail.text
        );
    }
    for (mail, part) in texts.iter().zip(["the way you paid", "has gone", "It is not lost"]) {
        let flowing = mail.text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(flowing.contains(part), "{flowing}");
    }
}

#[test]
fn a_mail_about_money_says_which_and_what_to_do() {
    let mut subjects = std::collections::BTreeSet::new();
    for alert in ALERTS {
        let mail = rendered(&money_alert(alert));
        assert!(mail.subject.ends_with(" (order AG-100042)"), "{}", mail.subject);
        assert!(mail.text.contains("₦45,000.50") && mail.text.contains("The bank <said> no"), "{}", mail.text);
        assert!(mail.html.contains("The bank &lt;said&gt; no") && !mail.html.contains("<said>"), "{}", mail.html);
        subjects.insert(mail.subject);
    }
    assert_eq!(subjects.len(), ALERTS.len());
}

#[test]
fn a_reminder_shows_the_cart_and_the_way_out() {
    let mail = rendered(&reminder("Ama", 3));
    assert_eq!(mail.subject, "You left something in your cart at AGAPE LOOKS");
    let html = visible(&mail.html);
    for fact in ["Bonwire kente, handwoven", "Gold / 6 yards", "₦90,000.00", "Aṣọ-òkè cap", "And 3 more.", "Hello Ama,"]
    {
        assert!(mail.text.contains(fact) && html.contains(fact), "{fact} in {}", mail.text);
    }
    assert!(mail.text.contains("2 x ₦45,000.00 = ₦90,000.00"), "{}", mail.text);
    for link in [LINK, "https://agapelooks.example/unsubscribe?token=x-1_"] {
        assert!(mail.text.contains(&format!("\n\n{link}\n")), "{}", mail.text);
        assert!(html.contains(&format!("href=\"{link}\"")), "{link}");
    }
    let all = rendered(&reminder("<b>x</b> http://evil", 0));
    assert!(!all.text.contains("more.\n") && all.text.contains("\nHello,\n"), "{}", all.text);
    assert_eq!(reminder("Ama", 0).unsubscribe_link(), Some("https://agapelooks.example/unsubscribe?token=x-1_"));
    assert_eq!(verify("Ama").unsubscribe_link(), None);
}

#[test]
fn mails_of_what_became_of_an_order_say_it_in_both_parts() {
    for mail in later_mails("Mind the <dog>\nhttps://evil.example") {
        let Rendered { subject, html, text } = rendered(&mail);
        assert!(subject.contains("AG-100042") && !subject.contains('\n'), "{subject}");
        let seen = visible(&html);
        for part in ["Bonwire kente, handwoven", "Gold / 6 yards", "2"] {
            assert!(text.contains(part) && seen.contains(part), "{part} is missing in {text}");
        }
        assert!(!html.contains("<dog>"), "{html}");
        let told = matches!(mail, Mail::OrderDelivered { .. });
        assert_ne!(text.contains("Mind the <dog> https://evil.example"), told, "{text}");
    }
    let text = |i: usize| rendered(&later_mails("")[i]).text;
    for part in ["DHL", "JD-1", "https://www.dhl.com/track?id=JD-1&lang=en", "5 Admiralty Way"] {
        assert!(text(0).contains(part), "{part} is missing in {}", text(0));
    }
    assert!(text(2).contains("You get back ₦103,688.04"), "{}", text(2));
    assert!(text(3).contains("Nothing was charged"), "{}", text(3));
}
