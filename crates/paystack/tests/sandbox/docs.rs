//! `docs/sandbox.md` names what the sandbox knows.
#![expect(clippy::unwrap_used, reason = "a test helper may panic")]

use crate::common::{browser, client, control, request, start_sandbox};
use paystack::{InitializeTransaction, Reference};
use serde_json::{Value, json};

/// The rows of the table under this head, as their cells.
fn table(head: &str) -> Vec<Vec<String>> {
    let document = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/sandbox.md");
    let text = std::fs::read_to_string(document).unwrap();
    let rows = text.lines().skip_while(|line| *line != head).skip(2).take_while(|line| line.starts_with('|'));
    let rows: Vec<_> =
        rows.map(|row| row.trim_matches('|').split(" | ").map(|cell| cell.trim().to_owned()).collect()).collect();
    assert!(!rows.is_empty(), "no table {head}");
    rows
}

/// The words between backticks.
fn quoted(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

#[tokio::test]
async fn every_card_is_taken() {
    let url = start_sandbox(None, None).await;
    let rows = table("| `card` | number | what happens |");
    let cards: Vec<&str> = rows.iter().flat_map(|row| quoted(&row[0])).collect();
    assert_eq!(cards.len(), 11);
    for (number, card) in cards.into_iter().enumerate() {
        let reference = format!("c-{number}");
        client(&url).initialize(&request(&reference)).await.unwrap();
        let body = json!({ "reference": reference, "action": "pay", "card": card });
        assert_eq!(control(&url, "payment", body).await, 200, "{card}");
    }
}

#[tokio::test]
async fn every_magic_amount_is_one() {
    let url = start_sandbox(None, None).await;
    control(&url, "faults", json!({ "magic_amounts": true })).await;
    let rows = table("| digits | what happens |");
    let digits: Vec<i64> =
        rows.iter().flat_map(|row| row[0].split(", ")).map(|digits| digits.parse().unwrap()).collect();
    assert_eq!(digits.len(), 14);
    // The first never answers and the other one is slow; the test of timeouts is elsewhere.
    for digits in digits.into_iter().filter(|digits| ![921, 924].contains(digits)) {
        let reference = Reference::new(format!("m-{digits}")).unwrap();
        let asked = InitializeTransaction { amount: 400_000 + digits, reference, ..request("m") };
        let started = client(&url).initialize(&asked).await;
        let Ok(started) = started else {
            assert!((922..=923).contains(&digits), "{digits}: {started:?}");
            continue;
        };
        let page = browser().get(&started.authorization_url).send().await.unwrap().text().await.unwrap();
        assert!(page.contains("This amount asks for something"), "{digits}");
    }
}

#[tokio::test]
async fn every_fault_is_known() {
    let url = start_sandbox(None, None).await;
    let words = |cell: &str| quoted(cell).map(str::to_owned).collect::<Vec<_>>();
    for row in table("| field | what happens |") {
        let field = words(&row[0]).remove(0);
        let values: Vec<Value> = match field.as_str() {
            "webhook" | "taken" | "refunds" | "calls" => {
                words(&row[1]).iter().map(|word| json!(word.replace("<ms>", "5"))).collect()
            }
            "fail_next" => words(&row[1]).iter().map(|word| serde_json::from_str(word).unwrap()).collect(),
            "magic_amounts" => vec![json!(true)],
            _ => vec![json!(1)],
        };
        for value in values {
            let body = json!({ &field: value });
            assert_eq!(control(&url, "faults", body.clone()).await, 200, "{body}");
        }
    }
}
