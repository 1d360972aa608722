//! Shipping as staff keep it and shoppers see it: zones, methods, prices, and who changes them at the same time as somebody else.

use std::collections::BTreeMap;
use std::sync::Arc;

use agape::features::auth::Role;
use futures::future::join_all;
use serde_json::{Value, json};

use crate::support::{Answer, TestApp};

const NOBODY: &str = "00000000-0000-7000-8000-000000000000";

async fn send_zone(shop: &TestApp, staff: &str, body: &Value) -> Answer {
    shop.post("/admin/shipping/zones").token(staff).json(body).send().await
}

async fn zone(shop: &TestApp, staff: &str, name: &str, places: Value) -> Value {
    send_zone(shop, staff, &json!({"name": name, "places": places})).await.expect(201)["zone"].clone()
}

fn path(zone: &Value) -> String {
    format!("/admin/shipping/zones/{}", zone["id"].as_str().unwrap())
}

fn method_path(zone: &Value, method: &Value) -> String {
    format!("{}/methods/{}", path(zone), method["id"].as_str().unwrap())
}

async fn patch(shop: &TestApp, staff: &str, path: &str, body: &Value) -> Answer {
    shop.patch(path).token(staff).json(body).send().await
}

async fn send_method(shop: &TestApp, staff: &str, zone: &Value, body: &Value) -> Answer {
    shop.post(&format!("{}/methods", path(zone))).token(staff).json(body).send().await
}

/// A method with what it needs, and more.
async fn method(shop: &TestApp, staff: &str, zone: &Value, code: &str, more: Value) -> Value {
    send_method(shop, staff, zone, &with(code, more)).await.expect(201)["method"].clone()
}

fn with(code: &str, more: Value) -> Value {
    let mut body = json!({"code": code, "name": format!("By {code}"), "price": 1_000, "minDays": 1, "maxDays": 3});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

async fn zones(shop: &TestApp, staff: &str) -> Vec<Value> {
    shop.get("/admin/shipping/zones").token(staff).send().await.expect(200)["zones"].as_array().unwrap().clone()
}

async fn named(shop: &TestApp, staff: &str, name: &str) -> Value {
    zones(shop, staff).await.into_iter().find(|zone| zone["name"] == name).unwrap()
}

/// What shoppers are offered: codes and prices.
async fn offered(shop: &TestApp, query: &str) -> Vec<(String, Value)> {
    let data = shop.get(&format!("/shipping/methods?{query}")).send().await.expect(200);
    assert_eq!(data["currency"], "NGN");
    let methods = data["methods"].as_array().unwrap();
    methods.iter().map(|method| (method["code"].as_str().unwrap().to_owned(), method["price"].clone())).collect()
}

fn prices(prices: &[(&str, Value)]) -> Vec<(String, Value)> {
    prices.iter().map(|(code, price)| ((*code).to_owned(), price.clone())).collect()
}

/// A new shop ships everywhere, by the three methods that orders know.
#[tokio::test]
async fn a_new_shop_ships_everywhere() {
    let shop = TestApp::start().await;
    let expected = prices(&[("standard", json!(2_500)), ("express", json!(5_000)), ("overnight", json!(9_000))]);
    for query in ["country=NG", "country=nigeria&region=Lagos", "country=GH&region=Nowhere", "country=KE&total=0.50"] {
        assert_eq!(offered(&shop, query).await, expected, "{query}");
    }
    let data = shop.get("/shipping/methods?country=NG").send().await.expect(200);
    let standard = json!({"code": "standard", "name": "Standard (5–7 days)", "price": 2_500, "minDays": 5,
        "maxDays": 7, "paysOnDelivery": false, "isPickup": false, "pickupDetails": null});
    assert_eq!(data["methods"][0], standard);
    let admin = shop.staff(Role::Merchant).await;
    let names: Vec<_> = zones(&shop, &admin).await.into_iter().map(|zone| zone["name"].clone()).collect();
    assert_eq!(names, ["Ghana", "Nigeria", "Rest of the world"]);
}

/// What is wrong with a question is told field by field.
#[tokio::test]
async fn a_question_that_makes_no_sense_is_refused() {
    let shop = TestApp::start().await;
    for (query, fields) in [
        ("", &["country"][..]),
        ("country=Wakanda&total=-1&grams=x", &["country", "total", "grams"]),
        ("country=NG&total=1.001", &["total"]),
        ("country=NG&total=NaN", &["total"]),
        ("country=NG&total=99999999999999999999", &["total"]),
        ("country=NG&grams=-1", &["grams"]),
        ("country=NG&grams=99999999999999999999", &["grams"]),
        ("country=*", &["country"]),
    ] {
        let answer = shop.get(&format!("/shipping/methods?{query}")).send().await;
        assert_eq!(answer.expect_error(400, "VALIDATION_ERROR"), fields, "{query}");
    }
    let long = format!("/shipping/methods?country=NG&region={}", "x".repeat(101));
    assert_eq!(shop.get(&long).send().await.expect_error(400, "VALIDATION_ERROR"), ["region"]);
    shop.get("/shipping/methods?country=NG&region=%00").send().await.expect_error(400, "VALIDATION_ERROR");
}

/// The zone that names an address most closely counts; where it is removed, the next does, and orders keep what they have.
#[tokio::test]
async fn the_closest_zone_counts_until_it_is_removed() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let places = json!([{"country": "Nigeria", "region": "lagos state"}, {"country": "KE", "region": "Nairobi"}]);
    let city = zone(&shop, &admin, "Cities", places).await;
    let proper = json!([{"country": "KE", "region": "Nairobi"}, {"country": "NG", "region": "Lagos"}]);
    assert_eq!(named(&shop, &admin, "Cities").await["places"], proper);
    // Without a method nothing is carried there.
    assert_eq!(offered(&shop, "country=NG&region=Lagos").await, []);
    let bike = method(&shop, &admin, &city, "bike", json!({"isPickup": false})).await;
    assert_eq!((&bike["position"], &bike["isActive"], &bike["version"]), (&json!(0), &json!(true), &json!(1)));
    let bike_only = prices(&[("bike", json!(1_000))]);
    for query in ["country=NG&region=LAGOS", "country=KE&region=nairobi"] {
        assert_eq!(offered(&shop, query).await, bike_only, "{query}");
    }
    let three = offered(&shop, "country=NG&region=Kano").await;
    assert_eq!(three.len(), 3);

    let product = shop.product(&admin, "KENTE", 1_000, 5).await;
    let ama = shop.customer("ama@example.com").await;
    let order = shop.order(&ama, &product, 1).await;
    for name in ["Cities", "Nigeria"] {
        let zone = named(&shop, &admin, name).await;
        shop.delete(&format!("{}?version=7", path(&zone))).token(&admin).send().await.expect_error(409, "CONFLICT");
        shop.delete(&format!("{}?version=1", path(&zone))).token(&admin).send().await.expect(200);
        shop.delete(&path(&zone)).token(&admin).send().await.expect_error(404, "NOT_FOUND");
        assert_eq!(offered(&shop, "country=NG&region=Lagos").await, three, "without {name}");
    }
    assert_eq!(shop.database.count("select count(*) from shipping_methods").await, 6);
    let kept = shop.get(&format!("/orders/{}", order["id"].as_str().unwrap())).token(&ama).send().await.expect(200);
    for field in ["shippingMethod", "shipping", "total"] {
        assert_eq!(kept["order"][field], order[field], "{field}");
    }
    let rest = named(&shop, &admin, "Rest of the world").await;
    shop.delete(&path(&rest)).token(&admin).send().await.expect(200);
    assert_eq!(offered(&shop, "country=NG&region=Lagos").await, []);
    assert_eq!(offered(&shop, "country=GH").await.len(), 3);
}

/// A place is in one zone, whoever puts it into another, and however many at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_place_is_in_one_zone() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let body = json!({"name": "West", "places": [{"country": "TG"}, {"country": "GH"}, {"country": "*"}]});
    let answer = send_zone(&shop, &admin, &body).await;
    assert_eq!(answer.expect_error(409, "CONFLICT"), ["places[1]", "places[2]"]);
    assert!(answer.text.contains("is in the zone Ghana already"), "{}", answer.text);
    let body = json!({"name": "nigeria", "places": []});
    assert_eq!(send_zone(&shop, &admin, &body).await.expect_error(409, "CONFLICT"), ["name"]);

    let bodies: Vec<_> = (0..8)
        .map(|i| {
            let region = if i % 2 == 0 { "Mombasa" } else { "MOMBASA" };
            json!({"name": format!("Coast {i}"), "places": [{"country": "KE", "region": region}]})
        })
        .collect();
    let answers = join_all(bodies.iter().map(|body| send_zone(&shop, &admin, body))).await;
    let (made, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 201);
    assert_eq!((made.len(), refused.len()), (1, 7));
    for answer in refused {
        assert_eq!(answer.expect_error(409, "CONFLICT"), ["places[0]"]);
    }
    let coast = zones(&shop, &admin).await.into_iter().find(|zone| zone["name"] != "Ghana" && zone["version"] == 1);
    let ghana = named(&shop, &admin, "Ghana").await;
    let move_in = json!({"version": 1, "places": [{"country": "GH"}, {"country": "KE", "region": "mombasa"}]});
    let answer = patch(&shop, &admin, &path(&ghana), &move_in).await;
    assert_eq!(answer.expect_error(409, "CONFLICT"), ["places[1]"]);
    let coast = coast.unwrap();
    assert!(coast["name"].as_str().unwrap().starts_with("Coast"), "{coast}");
    patch(&shop, &admin, &path(&coast), &json!({"version": 1, "places": []})).await.expect(200);
    let data = patch(&shop, &admin, &path(&ghana), &move_in).await.expect(200);
    assert_eq!((&data["zone"]["version"], data["zone"]["methods"].as_array().unwrap().len()), (&json!(2), 3));
    patch(&shop, &admin, &path(&ghana), &move_in).await.expect_error(409, "CONFLICT");
    assert_eq!(offered(&shop, "country=KE&region=Mombasa").await.len(), 3);
}

/// The fields that a refusal names, in order.
#[track_caller]
fn faults(answer: &Answer) -> Vec<String> {
    let mut fields = answer.expect_error(400, "VALIDATION_ERROR");
    fields.sort_unstable();
    fields
}

/// Whatever is wrong with a zone or a method is told at once, and nothing of it is stored.
#[tokio::test]
async fn nonsense_is_refused_field_by_field() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let many: Vec<_> = (0..251).map(|i| json!({"country": "KE", "region": format!("Place {i}")})).collect();
    for (body, fields) in [
        (json!({}), &["name", "places"][..]),
        (json!({"name": "", "places": [{"country": "Wakanda"}], "x": 1}), &["name", "places[0].country", "x"]),
        (
            json!({"name": "A", "places": [{"country": "NG", "region": "Ashanti"}, {"country": "*", "region": "A"}]}),
            &["places[0].region", "places[1].region"],
        ),
        (
            json!({"name": "A", "places": [{"country": "KE", "region": "Lamu"}, {"country": "KE", "region": "lamu"}]}),
            &["places[1]"],
        ),
        (json!({"name": "A", "places": many}), &["places"]),
    ] {
        assert_eq!(faults(&send_zone(&shop, &admin, &body).await), fields, "{body}");
    }
    let world = named(&shop, &admin, "Rest of the world").await;
    let tiers = |tiers: Value| with("boat", json!({"tiers": tiers}));
    let fifty_one: Vec<_> = (1..=51).map(|i| json!({"fromGrams": i, "price": 1})).collect();
    for (body, fields) in [
        (json!({}), &["code", "maxDays", "minDays", "name", "price"][..]),
        (
            with("By Boat", json!({"price": -1, "minDays": 366, "isActive": "yes"})),
            &["code", "isActive", "minDays", "price"],
        ),
        (with("boat", json!({"price": 0.001, "freeFrom": "5", "maxGrams": 0})), &["freeFrom", "maxGrams", "price"]),
        (
            with("boat", json!({"minDays": 5, "freeFrom": 0, "pickupDetails": "At the port"})),
            &["freeFrom", "maxDays", "pickupDetails"],
        ),
        (
            tiers(json!([{"price": 1}, {"fromTotal": 5, "price": 1}, {"fromTotal": 5, "fromGrams": 0, "price": 2}])),
            &["tiers[0]", "tiers[2]"],
        ),
        (
            tiers(json!([{"fromGrams": 5}, {"fromGrams": -1, "price": 1, "x": 1}])),
            &["tiers[0].price", "tiers[1].fromGrams", "tiers[1].x"],
        ),
        (tiers(json!(fifty_one)), &["tiers"]),
        (with("boat", json!({"price": 10_000_000_001_i64, "position": -1})), &["position", "price"]),
    ] {
        assert_eq!(faults(&send_method(&shop, &admin, &world, &body).await), fields, "{body}");
    }
    let standard = &world["methods"][0];
    for (body, fields) in [
        (json!({"price": 5}), &["version"][..]),
        (json!({"version": 1, "price": null, "name": null, "tiers": null}), &["name", "price", "tiers"]),
        (json!({"version": 1, "maxDays": 4, "pickupDetails": "At the port"}), &["maxDays", "pickupDetails"]),
    ] {
        assert_eq!(faults(&patch(&shop, &admin, &method_path(&world, standard), &body).await), fields, "{body}");
    }
    assert_eq!(named(&shop, &admin, "Rest of the world").await, world);
}

/// Methods are created, changed and removed, each by its own version, and only as methods of their zone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn methods_are_created_changed_and_removed() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let ghana = named(&shop, &admin, "Ghana").await;
    let more = json!({"price": 0, "isPickup": true, "pickupDetails": "12 Ring Road, Accra\nask for Ama",
        "paysOnDelivery": true, "minDays": 0, "maxDays": 0});
    let pickup = method(&shop, &admin, &ghana, "pickup", more).await;
    assert_eq!((&pickup["position"], &pickup["price"]), (&json!(3), &json!(0)));
    let data = shop.get("/shipping/methods?country=GH").send().await.expect(200);
    let last = &data["methods"][3];
    assert_eq!(
        (&last["code"], &last["paysOnDelivery"], &last["isPickup"]),
        (&json!("pickup"), &json!(true), &json!(true))
    );
    assert_eq!(last["pickupDetails"], "12 Ring Road, Accra\nask for Ama");

    let one = method_path(&ghana, &pickup);
    let change = json!({"version": 1, "code": "collect", "name": "Come for it", "price": 10.50, "minDays": 1, "maxDays": 9,
        "freeFrom": 100, "paysOnDelivery": false, "isPickup": false, "pickupDetails": null, "maxGrams": 500,
        "position": 0, "tiers": [{"fromGrams": 200, "price": 30, "fromTotal": 0}, {"fromGrams": 100, "price": 20, "fromTotal": 0}]});
    let changed = patch(&shop, &admin, &one, &change).await.expect(200)["method"].clone();
    for (field, value) in change.as_object().unwrap() {
        match field.as_str() {
            "version" => assert_eq!(changed[field], 2),
            // In their order.
            "tiers" => assert_eq!(changed[field], json!([value[1], value[0]])),
            _ => assert_eq!(&changed[field], value, "{field}"),
        }
    }
    // Whoever saw it before has to look again.
    patch(&shop, &admin, &one, &change).await.expect_error(409, "CONFLICT");
    let answers = join_all((0..6).map(|price| {
        let body = json!({"version": 2, "price": price});
        let (shop, admin, one) = (&shop, &admin, &one);
        async move { patch(shop, admin, one, &body).await.status }
    }))
    .await;
    assert_eq!(answers.iter().filter(|status| **status == 200).count(), 1, "{answers:?}");
    let kept = json!({"version": 3, "freeFrom": null, "maxGrams": null});
    let kept = patch(&shop, &admin, &one, &kept).await.expect(200)["method"].clone();
    assert_eq!((&kept["freeFrom"], &kept["maxGrams"], &kept["tiers"]), (&Value::Null, &Value::Null, &changed["tiers"]));

    let taken = json!({"version": 4, "code": "express"});
    assert_eq!(patch(&shop, &admin, &one, &taken).await.expect_error(409, "CONFLICT"), ["code"]);
    let bodies: Vec<_> = (0..6).map(|price| with("bus", json!({"price": price}))).collect();
    let answers = join_all(bodies.iter().map(|body| send_method(&shop, &admin, &ghana, body))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 1);
    for answer in answers.iter().filter(|answer| answer.status != 201) {
        assert_eq!(answer.expect_error(409, "CONFLICT"), ["code"]);
    }

    // Another zone's method is none of this zone.
    let nigeria = named(&shop, &admin, "Nigeria").await;
    let nobody = json!({"id": NOBODY});
    for path in [method_path(&nigeria, &pickup), method_path(&nobody, &pickup), method_path(&ghana, &nobody)] {
        patch(&shop, &admin, &path, &json!({"version": 4})).await.expect_error(404, "NOT_FOUND");
        shop.delete(&path).token(&admin).send().await.expect_error(404, "NOT_FOUND");
    }
    send_method(&shop, &admin, &nobody, &with("bus", json!({}))).await.expect_error(404, "NOT_FOUND");
    patch(&shop, &admin, &one, &json!({"version": 4, "isActive": false})).await.expect(200);
    let codes: Vec<_> = offered(&shop, "country=GH").await.into_iter().map(|(code, _)| code).collect();
    assert_eq!(codes, ["standard", "express", "overnight", "bus"]);
    shop.delete(&format!("{one}?version=4")).token(&admin).send().await.expect_error(409, "CONFLICT");
    shop.delete(&format!("{one}?version=5")).token(&admin).send().await.expect(200);
    let left = named(&shop, &admin, "Ghana").await["methods"].as_array().unwrap().len();
    assert_eq!(left, 4);
}

/// What carriage costs follows weight and total, and nothing else.
#[tokio::test]
async fn prices_follow_weight_and_total() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let kenya = zone(&shop, &admin, "Kenya", json!([{"country": "KE"}])).await;
    let tiers = json!([{"fromTotal": 500, "price": 600}, {"fromGrams": 2_000, "price": 1_500.75},
        {"fromTotal": 500, "fromGrams": 2_000, "price": 900}]);
    method(&shop, &admin, &kenya, "road", json!({"tiers": tiers, "freeFrom": 5_000, "maxGrams": 10_000})).await;
    for (query, price) in [
        ("total=0&grams=0", Some(json!(1_000))),
        ("total=499.99&grams=1999", Some(json!(1_000))),
        ("total=500", Some(json!(600))),
        ("total=499&grams=2000", Some(json!(1_500.75))),
        ("total=500&grams=2000", Some(json!(900))),
        ("total=4999.99&grams=10000", Some(json!(900))),
        ("total=5000&grams=10000", Some(json!(0))),
        ("total=5000&grams=10001", None),
    ] {
        let expected = price.map(|price| ("road".to_owned(), price));
        assert_eq!(offered(&shop, &format!("country=KE&{query}")).await, Vec::from_iter(expected), "{query}");
    }
}

/// A repeated request with its key creates nothing twice; a shop and a zone are bounded, however many come at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn repeats_and_crowds_create_nothing_too_much() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let send = async |path: &str, body: &Value| {
        shop.post(path).token(&admin).header("idempotency-key", "zone-1").json(body).send().await
    };
    let body = json!({"name": "Kenya", "places": [{"country": "KE"}]});
    let first = send("/admin/shipping/zones", &body).await;
    assert_eq!((first.status, &first.text), (201, &send("/admin/shipping/zones", &body).await.text));
    let kenya = first.expect(201)["zone"].clone();
    let methods = format!("{}/methods", path(&kenya));
    let first = send(&methods, &with("road", json!({}))).await;
    assert_eq!((first.status, &first.text), (201, &send(&methods, &with("road", json!({}))).await.text));

    let fill =
        "insert into shipping_zones (id, name) select gen_random_uuid(), 'Zone ' || i from generate_series(1, 44) i";
    sqlx::query(fill).execute(&shop.database.pool).await.unwrap();
    let bodies: Vec<_> = (0..4).map(|i| json!({"name": format!("Crowd {i}"), "places": []})).collect();
    let answers = join_all(bodies.iter().map(|body| send_zone(&shop, &admin, body))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 2);
    let fill =
        "insert into shipping_methods (id, zone_id, code, name, price_minor, min_days, max_days, pays_on_delivery,
                                              is_pickup, is_active, position)
                select gen_random_uuid(), id, 'way-' || i, 'Way', 0, 0, 0, false, false, true, i
                from shipping_zones, generate_series(1, 18) i where name = 'Kenya'";
    sqlx::query(fill).execute(&shop.database.pool).await.unwrap();
    let bodies: Vec<_> = (0..4).map(|i| with(&format!("crowd-{i}"), json!({}))).collect();
    let answers = join_all(bodies.iter().map(|body| send_method(&shop, &admin, &kenya, body))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 1);
    assert_eq!((zones(&shop, &admin).await.len(), offered(&shop, "country=KE").await.len()), (50, 20));
}

/// What the program would not write, the database refuses as well.
#[tokio::test]
async fn the_database_keeps_the_rules_of_shipping() {
    let shop = TestApp::start().await;
    let refused = async |sql: &'static str| {
        let done = sqlx::query(sql).execute(&shop.database.pool).await;
        done.unwrap_err().into_database_error().unwrap().constraint().unwrap_or_default().to_owned()
    };
    for (sql, constraint) in [
        ("update shipping_places set country = 'GH' where country = 'NG'", "shipping_places_key"),
        ("update shipping_places set region = 'Lagos' where country = '*'", "shipping_places_place"),
        ("update shipping_zones set name = 'GHANA' where name = 'Nigeria'", "shipping_zones_name_key"),
        ("update shipping_methods set code = 'express' where code = 'standard'", "shipping_methods_code_key"),
        ("update shipping_methods set price_minor = -1", "shipping_methods_price_minor_check"),
        ("update shipping_methods set max_days = 0 where code = 'standard'", "shipping_methods_days"),
        ("update shipping_methods set pickup_details = 'x'", "shipping_methods_details_of_pickup"),
        (
            "insert into shipping_tiers (method_id, from_grams, from_total_minor, price_minor)
             select id, 0, 0, 1 from shipping_methods",
            "shipping_tiers_begin_above_nothing",
        ),
        ("insert into rates_version values (false, 1)", "rates_version_one_check"),
        ("insert into rates_version values (true, 1)", "rates_version_pkey"),
    ] {
        assert_eq!(refused(sql).await, constraint, "{sql}");
    }
}

/// All who ask at the same time read once, whoever asks later reads nothing, and whoever changes the table by hand is found out
/// by the version.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rates_are_kept_until_they_change() {
    let shop = TestApp::with(|config| config.cache.product_seconds = 3_600).await;
    shop.wait_for("the server to hear", || async { shop.app.hearing.is_good().then_some(()) }).await;
    let current = async || shop.app.rates.current().await.unwrap();
    let all = join_all((0..20).map(|_| current())).await;
    assert!(all.iter().all(|rates| Arc::ptr_eq(rates, &all[0])));
    assert!(Arc::ptr_eq(&current().await, &all[0]));
    sqlx::query("update shipping_methods set price_minor = 1").execute(&shop.database.pool).await.unwrap();
    let version = async || shop.database.count("select version from rates_version").await;
    assert!(current().await.version < version().await, "what is kept says that it is old");
    // Whoever has noticed that, and whoever believes nothing, reads again; and no more than the version where nothing changed.
    shop.app.rates.start_anew();
    let renewed = current().await;
    assert_eq!(renewed.version, version().await);
    assert_eq!(renewed.zones[0].methods[0].price.0, 1);
    shop.app.rates.start_anew();
    assert!(Arc::ptr_eq(&current().await, &renewed));

    let doubtful = shop.another(|config| config.cache.product_seconds = 0).await;
    let first = doubtful.app.rates.current().await.unwrap();
    assert!(Arc::ptr_eq(&doubtful.app.rates.current().await.unwrap(), &first));
    sqlx::query("delete from shipping_tiers").execute(&shop.database.pool).await.unwrap();
    assert_eq!(doubtful.app.rates.current().await.unwrap().version, version().await);
}

/// What is read while staff change it is of one moment: a method with its own tiers, under a version of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rates_are_of_one_moment() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let kenya = zone(&shop, &admin, "Kenya", json!([{"country": "KE"}])).await;
    let tiers = |price: i64| json!([{"fromGrams": 1, "price": price}]);
    let road = method(&shop, &admin, &kenya, "road", json!({"price": 1, "tiers": tiers(1)})).await;
    let path = method_path(&kenya, &road);
    let write = async {
        for version in 1..=40 {
            let body = json!({"version": version, "price": version + 1, "tiers": tiers(version + 1)});
            patch(&shop, &admin, &path, &body).await.expect(200);
        }
    };
    let read = async {
        let mut prices = BTreeMap::new();
        loop {
            shop.app.rates.start_anew();
            let rates = shop.app.rates.current().await.unwrap();
            let zone = rates.zones.iter().find(|zone| zone.name == "Kenya").unwrap();
            let (price, tiers) = (zone.methods[0].price, &zone.methods[0].tiers);
            assert_eq!((tiers.len(), tiers[0].price), (1, price));
            assert_eq!(*prices.entry(rates.version).or_insert(price), price, "one version has one price");
            if price.0 == 4_100 {
                return prices;
            }
        }
    };
    let ((), prices) = tokio::join!(write, read);
    assert!(prices.values().is_sorted(), "a later version has a later price: {prices:?}");
}

/// Each table tells each of its changes.
#[tokio::test]
async fn every_change_raises_the_version() {
    let shop = TestApp::start().await;
    let mut last = shop.database.count("select version from rates_version").await;
    let tier = "insert into shipping_tiers (method_id, from_grams, from_total_minor, price_minor)
                select id, 1, 0, 1 from shipping_methods";
    for sql in [
        tier,
        "update shipping_tiers set price_minor = 2",
        "delete from shipping_tiers",
        "update shipping_methods set position = 7",
        "update shipping_places set country = 'TG' where country = 'GH'",
        "update shipping_zones set name = name || '!'",
        "delete from shipping_zones where name = 'Ghana!'",
        "update taxes set rate_basis_points = 1",
        "delete from taxes",
        "truncate shipping_tiers",
    ] {
        sqlx::query(sql).execute(&shop.database.pool).await.unwrap();
        let version = shop.database.count("select version from rates_version").await;
        assert!(version > last, "{sql}");
        last = version;
    }
}

/// What changes on one server is not stale on the other, whose memory lasts an hour.
#[tokio::test]
async fn a_change_reaches_every_server() {
    let hour = |config: &mut agape::platform::config::Config| config.cache.product_seconds = 3_600;
    let one = TestApp::with(hour).await;
    let other = one.another(hour).await;
    for shop in [&one, &other] {
        shop.wait_for("the server to hear", || async { shop.app.hearing.is_good().then_some(()) }).await;
    }
    let admin = one.staff(Role::Admin).await;
    let ghana = named(&one, &admin, "Ghana").await;
    let path = method_path(&ghana, &ghana["methods"][0]);
    for version in 1..=10 {
        let kept = other.app.rates.current().await.unwrap();
        assert!(Arc::ptr_eq(&kept, &other.app.rates.current().await.unwrap()));
        patch(&one, &admin, &path, &json!({"version": version, "price": version})).await.expect(200);
        let expected = json!(version);
        // The server that changed it has no excuse.
        assert_eq!(offered(&one, "country=GH").await[0].1, expected);
        other
            .wait_for("the new price", || async {
                (offered(&other, "country=GH").await[0].1 == expected).then_some(())
            })
            .await;
    }
    let vat = one.get("/admin/taxes").token(&admin).send().await.expect(200)["taxes"][0].clone();
    one.delete(&format!("/admin/taxes/{}", vat["id"].as_str().unwrap())).token(&admin).send().await.expect(200);
    let taxes = async || other.app.rates.current().await.unwrap().taxes.len();
    other.wait_for("the end of a tax", || async { (taxes().await == 3).then_some(()) }).await;
}
