//! Taxes as staff keep them: where and when which components are due, and who changes them at the same time as somebody else.

use agape::features::auth::Role;
use agape::features::taxes::in_force;
use chrono::{DateTime, TimeDelta, Utc};
use futures::future::join_all;
use serde_json::{Value, json};

use crate::support::{Answer, TestApp};

const NOBODY: &str = "00000000-0000-7000-8000-000000000000";

async fn create(shop: &TestApp, staff: &str, body: &Value) -> Answer {
    shop.post("/admin/taxes").token(staff).json(body).send().await
}

async fn created(shop: &TestApp, staff: &str, body: &Value) -> Value {
    create(shop, staff, body).await.expect(201)["tax"].clone()
}

fn path(tax: &Value) -> String {
    format!("/admin/taxes/{}", tax["id"].as_str().unwrap())
}

async fn patch(shop: &TestApp, staff: &str, tax: &Value, body: &Value) -> Answer {
    shop.patch(&path(tax)).token(staff).json(body).send().await
}

async fn list(shop: &TestApp, staff: &str) -> Vec<Value> {
    shop.get("/admin/taxes").token(staff).send().await.expect(200)["taxes"].as_array().unwrap().clone()
}

/// What an order to a place has at a time, as those who price it see it.
async fn due(shop: &TestApp, country: &str, region: Option<&str>, at: DateTime<Utc>) -> Vec<(String, u32)> {
    let rates = shop.app.rates.current().await.unwrap();
    in_force(&rates.taxes, country, region, at).into_iter().map(|rate| (rate.name, rate.rate_basis_points)).collect()
}

fn named(rates: &[(&str, u32)]) -> Vec<(String, u32)> {
    rates.iter().map(|(name, rate)| ((*name).to_owned(), *rate)).collect()
}

async fn version(shop: &TestApp) -> i64 {
    shop.database.count("select version from rates_version").await
}

/// A new shop has the taxes of Nigeria and of Ghana, on top of its prices, and none elsewhere.
#[tokio::test]
async fn a_new_shop_has_the_taxes_of_its_countries() {
    let shop = TestApp::start().await;
    let now = shop.app.clock.now();
    let ghana = named(&[("VAT", 1_500), ("GETFund", 250), ("NHIL", 250)]);
    assert_eq!(due(&shop, "NG", Some("Lagos"), now).await, named(&[("VAT", 750)]));
    assert_eq!(due(&shop, "GH", Some("Ashanti"), now).await, ghana);
    assert_eq!(due(&shop, "KE", None, now).await, []);
    // The laws of these rates were not in force yet.
    assert_eq!(due(&shop, "NG", None, "2020-01-31T22:59:59Z".parse().unwrap()).await, []);
    assert_eq!(due(&shop, "GH", None, "2025-12-31T23:59:59Z".parse().unwrap()).await, []);
    let admin = shop.staff(Role::Admin).await;
    for tax in list(&shop, &admin).await {
        assert_eq!((&tax["included"], &tax["appliesToShipping"]), (&json!(false), &json!(false)), "{tax}");
    }
}

/// Components are created, changed and removed, in the one form of their place, and each change is known to who prices.
#[tokio::test]
async fn taxes_are_created_changed_and_removed() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Merchant).await;
    let now = shop.app.clock.now();
    let body = json!({"name": " Consumption ", "country": "Nigeria", "region": "lagos state", "rateBasisPoints": 500});
    let tax = created(&shop, &admin, &body).await;
    let expected = json!({
        "id": tax["id"], "name": "Consumption", "country": "NG", "region": "Lagos", "rateBasisPoints": 500,
        "included": false, "appliesToShipping": false, "effectiveFrom": tax["effectiveFrom"],
        "effectiveUntil": null, "version": 1,
    });
    assert_eq!(tax, expected);
    let later = now + TimeDelta::seconds(60);
    assert_eq!(due(&shop, "NG", Some("Lagos"), later).await, named(&[("VAT", 750), ("Consumption", 500)]));
    assert_eq!(due(&shop, "NG", Some("Kano"), later).await, named(&[("VAT", 750)]));

    let before = version(&shop).await;
    let change = json!({"version": 1, "name": "Levy", "rateBasisPoints": 10_000, "included": true,
        "appliesToShipping": true, "effectiveUntil": "2100-01-01T00:00:00Z"});
    let changed = patch(&shop, &admin, &tax, &change).await.expect(200)["tax"].clone();
    for (field, value) in change.as_object().unwrap() {
        let expected = if field == "version" { &json!(2) } else { value };
        assert_eq!(&changed[field], expected, "{field}");
    }
    assert!(version(&shop).await > before);
    assert_eq!(due(&shop, "NG", Some("Lagos"), later).await, named(&[("Levy", 10_000), ("VAT", 750)]));
    let rates = shop.app.rates.current().await.unwrap();
    let levy = in_force(&rates.taxes, "NG", Some("Lagos"), later).remove(0);
    assert!(levy.is_included && levy.on_shipping);
    assert_eq!(rates.version, version(&shop).await);
    let open = json!({"version": 2, "effectiveUntil": null});
    assert_eq!(patch(&shop, &admin, &tax, &open).await.expect(200)["tax"]["effectiveUntil"], Value::Null);

    patch(&shop, &admin, &tax, &open).await.expect_error(409, "CONFLICT");
    let stale = format!("{}?version=2", path(&tax));
    shop.delete(&stale).token(&admin).send().await.expect_error(409, "CONFLICT");
    let current = format!("{}?version=3", path(&tax));
    shop.delete(&current).token(&admin).send().await.expect(200);
    assert_eq!(due(&shop, "NG", Some("Lagos"), later).await, named(&[("VAT", 750)]));
    shop.delete(&path(&tax)).token(&admin).send().await.expect_error(404, "NOT_FOUND");
    patch(&shop, &admin, &json!({"id": NOBODY}), &json!({"version": 1})).await.expect_error(404, "NOT_FOUND");
    assert_eq!(list(&shop, &admin).await.len(), 4);
}

/// Whatever is wrong is told at once, and nothing of it is stored.
#[tokio::test]
async fn nonsense_is_refused_field_by_field() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let good = json!({"name": "Duty", "country": "KE", "rateBasisPoints": 100});
    let with = |fields: Value| {
        let mut body = good.clone();
        body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        body
    };
    for (body, fields) in [
        (json!({}), &["name", "country", "rateBasisPoints"][..]),
        (
            with(json!({"name": " ", "country": "Wakanda", "rateBasisPoints": -1})),
            &["name", "country", "rateBasisPoints"],
        ),
        (with(json!({"rateBasisPoints": 10_001})), &["rateBasisPoints"]),
        (with(json!({"rateBasisPoints": 7.5})), &["rateBasisPoints"]),
        (with(json!({"rateBasisPoints": 99_999_999_999_999_i64})), &["rateBasisPoints"]),
        (with(json!({"name": "V\nAT", "colour": "red"})), &["name", "colour"]),
        (with(json!({"country": "**"})), &["country"]),
        (with(json!({"country": "*", "region": "Lagos"})), &["region"]),
        (
            with(json!({"country": "NG", "region": "Ashanti", "effectiveFrom": "1999-01-01T00:00:00Z"})),
            &["region", "effectiveFrom"],
        ),
        (with(json!({"effectiveFrom": "soon", "included": 1})), &["effectiveFrom", "included"]),
        (
            with(json!({"effectiveFrom": "2026-01-01T00:00:00Z", "effectiveUntil": "2026-01-01T00:00:00Z"})),
            &["effectiveUntil"],
        ),
        (
            with(json!({"effectiveFrom": "9999-01-01T00:00:00Z", "effectiveUntil": "2200-01-01T00:00:00Z"})),
            &["effectiveFrom", "effectiveUntil"],
        ),
    ] {
        let mut found = create(&shop, &admin, &body).await.expect_error(400, "VALIDATION_ERROR");
        let mut fields = fields.to_vec();
        found.sort_unstable();
        fields.sort_unstable();
        assert_eq!(found, fields, "{body}");
    }
    let tax = created(&shop, &admin, &good).await;
    for (body, field) in [
        (json!({"name": "Levy"}), "version"),
        (json!({"version": 1, "name": null}), "name"),
        (json!({"version": 1, "rateBasisPoints": null}), "rateBasisPoints"),
        (json!({"version": 1, "country": "GH"}), "country"),
        (json!({"version": 1, "effectiveUntil": "2001-01-01T00:00:00Z"}), "effectiveUntil"),
    ] {
        assert_eq!(patch(&shop, &admin, &tax, &body).await.expect_error(400, "VALIDATION_ERROR"), [field], "{body}");
    }
    assert_eq!(list(&shop, &admin).await.len(), 5);
}

/// Of many who create the same component at once, one does; so it is whatever the letters and the times are.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_component_of_a_name_is_due_in_a_place_at_a_time() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let bodies = (0..8).map(|i| {
        let name = if i % 2 == 0 { "Duty" } else { "DUTY" };
        json!({"name": name, "country": "KE", "region": if i % 3 == 0 { "Nairobi" } else { "nairobi" },
            "rateBasisPoints": i, "effectiveFrom": format!("2026-01-0{}T00:00:00Z", i + 1)})
    });
    let bodies: Vec<Value> = bodies.collect();
    let answers = join_all(bodies.iter().map(|body| create(&shop, &admin, body))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 1);
    for answer in answers.iter().filter(|answer| answer.status != 201) {
        assert_eq!(answer.expect_error(409, "CONFLICT"), ["effectiveFrom"]);
    }
    // Elsewhere, under another name, or when it is over, there is room.
    let day = |from: &str, until: Value| json!({"effectiveFrom": format!("{from}T00:00:00Z"), "effectiveUntil": until});
    let of = |name: &str, place: Value, times: Value| {
        let mut body = json!({"name": name, "rateBasisPoints": 1});
        for part in [place, times] {
            body.as_object_mut().unwrap().extend(part.as_object().unwrap().clone());
        }
        body
    };
    let nairobi = json!({"country": "KE", "region": "Nairobi"});
    let always = day("2026-01-01", Value::Null);
    for body in [
        of("Duty", json!({"country": "KE"}), always.clone()),
        of("Duty", json!({"country": "KE", "region": "Mombasa"}), always.clone()),
        of("Duty", json!({"country": "*"}), always.clone()),
        of("Levy", nairobi.clone(), always.clone()),
        of("Duty", nairobi.clone(), day("2025-01-01", json!("2026-01-01T00:00:00Z"))),
    ] {
        created(&shop, &admin, &body).await;
    }
    // A change does not get round it.
    let early = list(&shop, &admin).await.into_iter().find(|tax| tax["effectiveUntil"].is_string()).unwrap();
    let open = json!({"version": 1, "effectiveUntil": null});
    patch(&shop, &admin, &early, &open).await.expect_error(409, "CONFLICT");
    let levy = list(&shop, &admin).await.into_iter().find(|tax| tax["name"] == "Levy").unwrap();
    let rename = json!({"version": 1, "name": "duty"});
    patch(&shop, &admin, &levy, &rename).await.expect_error(409, "CONFLICT");
}

/// A rate that changes later: one step, and no moment has both or neither.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rate_that_changes_later_is_scheduled() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let vat = list(&shop, &admin).await.into_iter().find(|tax| tax["country"] == "NG").unwrap();
    let successor = format!("{}/successor", path(&vat));
    let schedule = async |body: Value| shop.post(&successor).token(&admin).json(&body).send().await;
    for (body, field) in [
        (json!({"version": 1, "rateBasisPoints": 1_000}), "effectiveFrom"),
        (json!({"version": 1, "rateBasisPoints": 1_000, "effectiveFrom": vat["effectiveFrom"]}), "effectiveFrom"),
        (json!({"version": 1, "rateBasisPoints": 1_000, "effectiveFrom": "2500-01-01T00:00:00Z"}), "effectiveFrom"),
        (json!({"version": 1, "effectiveFrom": "2030-01-01T00:00:00Z"}), "rateBasisPoints"),
    ] {
        assert_eq!(schedule(body.clone()).await.expect_error(400, "VALIDATION_ERROR"), [field], "{body}");
    }
    // Of several who do it at once, one does.
    let answers = join_all((0..6).map(|i| {
        schedule(json!({"version": 1, "rateBasisPoints": 1_000 + i, "effectiveFrom": "2030-01-01T00:00:00Z"}))
    }))
    .await;
    let mut done: Vec<Answer> = answers.into_iter().filter(|answer| answer.status != 409).collect();
    assert_eq!(done.len(), 1);
    let data = done.remove(0).expect(201);
    let (tax, predecessor) = (&data["tax"], &data["predecessor"]);
    assert_eq!((&predecessor["id"], &predecessor["version"]), (&vat["id"], &json!(2)));
    assert_eq!(predecessor["effectiveUntil"], tax["effectiveFrom"]);
    assert_eq!((&tax["name"], &tax["country"], &tax["version"]), (&json!("VAT"), &json!("NG"), &json!(1)));
    let moment: DateTime<Utc> = "2030-01-01T00:00:00Z".parse().unwrap();
    let rate = u32::try_from(tax["rateBasisPoints"].as_i64().unwrap()).unwrap();
    assert_eq!(due(&shop, "NG", None, moment - TimeDelta::microseconds(1)).await, named(&[("VAT", 750)]));
    assert_eq!(due(&shop, "NG", None, moment).await, named(&[("VAT", rate)]));

    // Between them there is room for another one, which ends when its predecessor would have.
    let body = json!({"version": 2, "rateBasisPoints": 0, "effectiveFrom": "2028-01-01T00:00:00Z"});
    let between = schedule(body).await.expect(201)["tax"].clone();
    assert_eq!(between["effectiveUntil"], tax["effectiveFrom"]);
    let body = json!({"version": 3, "rateBasisPoints": 0, "effectiveFrom": "2029-01-01T00:00:00Z"});
    assert_eq!(schedule(body).await.expect_error(400, "VALIDATION_ERROR"), ["effectiveUntil"]);
}

/// A request that is repeated with its key creates nothing twice.
#[tokio::test]
async fn a_repeated_request_gets_the_first_answer() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let send = async |path: &str, body: &Value| {
        shop.post(path).token(&admin).header("idempotency-key", "tax-1").json(body).send().await
    };
    let body = json!({"name": "Duty", "country": "KE", "rateBasisPoints": 100});
    let first = send("/admin/taxes", &body).await;
    let again = send("/admin/taxes", &body).await;
    assert_eq!((first.status, &first.text), (201, &again.text));
    assert_eq!(again.header("idempotency-replayed").as_deref(), Some("true"));
    let other = json!({"name": "Duty", "country": "KE", "rateBasisPoints": 200});
    assert_eq!(send("/admin/taxes", &other).await.status, 422);
    let successor = format!("{}/successor", path(&first.expect(201)["tax"]));
    let body = json!({"version": 1, "rateBasisPoints": 200, "effectiveFrom": "2100-01-01T00:00:00Z"});
    let first = send(&successor, &body).await;
    assert_eq!((first.status, &first.text), (201, &send(&successor, &body).await.text));
    assert_eq!(list(&shop, &admin).await.len(), 6);
}

/// A shop has at most five hundred components, however many come at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn there_are_at_most_five_hundred_taxes() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let fill = "insert into taxes (id, name, country, rate_basis_points, is_included, on_shipping, effective_from)
                select gen_random_uuid(), 'Duty ' || i, 'KE', 1, false, false, now() from generate_series(1, 494) i";
    sqlx::query(fill).execute(&shop.database.pool).await.unwrap();
    let bodies: Vec<_> =
        (0..6).map(|i| json!({"name": format!("Levy {i}"), "country": "KE", "rateBasisPoints": 1})).collect();
    let answers = join_all(bodies.iter().map(|body| create(&shop, &admin, body))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 2);
    assert_eq!(answers.iter().filter(|answer| answer.status == 409).count(), 4);
    assert_eq!(list(&shop, &admin).await.len(), 500);
}

/// What the program would not write, the database refuses as well.
#[tokio::test]
async fn the_database_keeps_the_rules_of_taxes() {
    let shop = TestApp::start().await;
    let refused = async |set: &str| {
        let sql = format!("update taxes set {set} where country = 'NG'");
        let done = sqlx::query(sqlx::AssertSqlSafe(sql)).execute(&shop.database.pool).await;
        done.unwrap_err().into_database_error().unwrap().constraint().unwrap_or_default().to_owned()
    };
    assert_eq!(refused("rate_basis_points = 10001").await, "taxes_rate_basis_points_check");
    assert_eq!(refused("rate_basis_points = -1").await, "taxes_rate_basis_points_check");
    assert_eq!(refused("country = 'Nigeria'").await, "taxes_place");
    assert_eq!(refused("country = '*', region = 'Lagos'").await, "taxes_place");
    assert_eq!(refused("effective_until = effective_from").await, "taxes_period");
    assert_eq!(refused("country = 'GH', name = 'vat'").await, "taxes_one_at_a_time");
}
