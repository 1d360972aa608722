//! The audit log: every deed of the staff is in it, nobody can change it, and whoever does is found out.

use std::collections::BTreeSet;

use agape::features::audit;
use agape::features::auth::{Role, current_code};
use chrono::TimeDelta;
use futures::future::join_all;
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;

use crate::refunds::control;
use crate::support::pictures::jpeg;
use crate::support::{Call, PAYSTACK_KEY, Product, TestApp};

const AMA: &str = "ama@example.com";
const PASSWORD: &str = "Test@1234";
const IP: &str = "203.0.113.9";
const AGENT: &str = "StaffBrowser/1.0";

const CHANGED: &str = "it, or the one before it, was changed";
const MISSING: &str = "entries before it are missing";

/// A shop that believes its proxy.
async fn behind_a_proxy() -> TestApp {
    TestApp::with(|config| {
        config.server.trusted_proxies = vec!["127.0.0.1".parse().unwrap()];
        config.webhooks.private_networks = vec!["127.0.0.1".parse().unwrap()];
        config.payments.transfer_accounts = vec!["NGN; First Bank; AGAPE; 1".parse().unwrap()];
    })
    .await
}

async fn id_of(shop: &TestApp, token: &str) -> String {
    shop.get("/auth/me").token(token).send().await.expect(200)["user"]["id"].as_str().unwrap().to_owned()
}

/// Entries by a query, the newest first.
async fn entries(shop: &TestApp, admin: &str, query: &str) -> Vec<Value> {
    let data = shop.get(&format!("/admin/audit?{query}")).token(admin).send().await.expect(200);
    data["entries"].as_array().unwrap().clone()
}

/// The state of the chain, as an administrator is told.
async fn check(shop: &TestApp, admin: &str) -> Value {
    shop.get("/admin/audit/check").token(admin).send().await.expect(200)
}

/// Every link and every part fits, and none is missing. Gives how many links there are.
pub async fn assert_chain(shop: &TestApp) -> i64 {
    let mut connection = shop.app.db.acquire().await.unwrap();
    let chain = audit::check_chain(&mut connection).await.unwrap();
    assert!(chain.faults.is_empty(), "{chain:#?}");
    chain.entries
}

/// Each write of the staff leaves an entry that says who, from where, in which request, and what it was before and
/// after. A new route that writes as staff fails here until it has its line.
#[tokio::test]
async fn every_write_of_the_staff_is_on_record() {
    let shop = behind_a_proxy().await;
    let admin = shop.staff(Role::Admin).await;
    let (ama, kofi) = (shop.customer(AMA).await, shop.customer("kofi@example.com").await);
    let (admin_id, ama_id, kofi_id) = (id_of(&shop, &admin).await, id_of(&shop, &ama).await, id_of(&shop, &kofi).await);
    let setup = shop.post("/auth/2fa/setup").token(&kofi).json(&json!({"password": PASSWORD})).send().await.expect(200);
    let code = current_code(setup["secret"].as_str().unwrap(), shop.app.clock.now()).unwrap();
    shop.post("/auth/2fa/enable").token(&kofi).json(&json!({"code": code})).send().await.expect(200);
    let sessions = shop.get("/auth/sessions").token(&ama).send().await.expect(200)["sessions"].clone();
    let session = sessions[0]["id"].as_str().unwrap();

    // Each request has an id by which its entry is found.
    let mut done: Vec<(&str, String)> = Vec::new();
    let staff = |call: Call, id: &str| {
        call.token(&admin).header("x-forwarded-for", IP).header("user-agent", AGENT).header("x-request-id", id)
    };
    let category = staff(shop.post("/categories"), "category").json(&json!({"name": "Cloths"})).send().await;
    let category = category.expect(201)["category"]["id"].as_str().unwrap().to_owned();
    done.push(("POST /api/v1/categories", category.clone()));
    let body = json!({"sku": "A", "title": "Kente", "price": 1_000, "inventory": 3, "categoryId": category});
    let product = staff(shop.post("/products"), "create").json(&body).send().await.expect(201)["product"].clone();
    let product_id = product["id"].as_str().unwrap().to_owned();
    done.push(("POST /api/v1/products", product_id.clone()));
    let path = format!("/products/{product_id}");
    let change = json!({"version": 1, "price": 2_000});
    staff(shop.patch(&path), "update").json(&change).send().await.expect(200);
    done.push(("PATCH /api/v1/products/{product}", product_id.clone()));
    staff(shop.patch(&path), "refused").json(&change).send().await.expect_error(409, "CONFLICT");
    let only = product["variants"][0]["id"].as_str().unwrap();
    let size = |size: &str| json!([{"name": "Size", "value": size}]);
    let change = json!({"version": 2, "options": size("S")});
    staff(shop.patch(&format!("{path}/variants/{only}")), "variant").json(&change).send().await.expect(200);
    done.push(("PATCH /api/v1/products/{product}/variants/{variant}", product_id.clone()));
    let add = json!({"version": 3, "sku": "A-M", "options": size("M")});
    let added = staff(shop.post(&format!("{path}/variants")), "add").json(&add).send().await.expect(201);
    let other = added["product"]["variants"][1]["id"].as_str().unwrap();
    done.push(("POST /api/v1/products/{product}/variants", product_id.clone()));
    let order = json!({"version": 4, "ids": [other, only]});
    staff(shop.put(&format!("{path}/variants/order")), "order").json(&order).send().await.expect(200);
    done.push(("PUT /api/v1/products/{product}/variants/order", product_id.clone()));
    staff(shop.delete(&format!("{path}/variants/{other}?version=5")), "remove").send().await.expect(200);
    done.push(("DELETE /api/v1/products/{product}/variants/{variant}", product_id.clone()));
    staff(shop.delete(&path), "delete").send().await.expect(200);
    done.push(("DELETE /api/v1/products/{product}", product_id.clone()));
    staff(shop.post(&format!("{path}/restore")), "restore").send().await.expect(200);
    done.push(("POST /api/v1/products/{product}/restore", product_id.clone()));
    let level = json!({"increment": 2, "reason": "received"});
    staff(shop.patch(&format!("/admin/inventory/{only}")), "level").json(&level).send().await.expect(200);
    done.push(("PATCH /api/v1/admin/inventory/{variant}", only.to_owned()));
    let levels = json!({"adjustments": [{"sku": "A", "set": 4, "reason": "count"}]});
    staff(shop.post("/admin/inventory/adjustments"), "levels").json(&levels).send().await.expect(200);
    // These are about many levels, which are named inside.
    done.push(("POST /api/v1/admin/inventory/adjustments", String::new()));
    let file = "sku,quantity\nA,6\n";
    staff(shop.post("/admin/inventory/import"), "file").bytes("text/csv", file).send().await.expect(200);
    done.push(("POST /api/v1/admin/inventory/import", String::new()));
    let dry = staff(shop.post("/admin/inventory/import?dryRun=true"), "refused");
    dry.bytes("text/csv", "sku,quantity\nA,7\n").send().await.expect(200);
    let bulk = json!({"action": "feature", "ids": [product_id]});
    staff(shop.post("/admin/products/bulk"), "bulk").json(&bulk).send().await.expect(200);
    // It is about many products, which are named inside.
    done.push(("POST /api/v1/admin/products/bulk", String::new()));
    let of_category = format!("/categories/{category}");
    let rename = json!({"version": 1, "name": "Fabrics"});
    staff(shop.patch(&of_category), "rename").json(&rename).send().await.expect(200);
    done.push(("PATCH /api/v1/categories/{category}", category.clone()));
    let below =
        shop.post("/categories").token(&admin).json(&json!({"name": "Lace", "parentId": category})).send().await;
    let below = below.expect(201)["category"]["id"].clone();
    let order = json!({"parentId": category, "ids": [below]});
    staff(shop.put("/categories/order"), "sort").json(&order).send().await.expect(200);
    done.push(("PUT /api/v1/categories/order", category.clone()));
    let gone = format!("{of_category}?moveTo={}", below.as_str().unwrap());
    let answer = staff(shop.delete(&gone), "refused").send().await;
    assert_eq!(answer.expect_error(400, "VALIDATION_ERROR"), ["moveTo"]);
    let place = format!("/categories/{}", below.as_str().unwrap());
    staff(shop.delete(&place), "drop").send().await.expect(200);
    done.push(("DELETE /api/v1/categories/{category}", below.as_str().unwrap().to_owned()));
    rates(&shop, &staff, &mut done).await;
    let goods = shop.product(&admin, "ORD", 1_000, 9).await;
    let sent = shop.paid_order(&ama, &goods, 1).await;
    let (order_id, item) = (sent["id"].as_str().unwrap().to_owned(), &sent["items"][0]["id"]);
    let path = format!("/admin/orders/{order_id}");
    let note = json!({"text": "Ama has called"});
    staff(shop.post(&format!("{path}/notes")), "note").json(&note).send().await.expect(201);
    done.push(("POST /api/v1/admin/orders/{order}/notes", order_id.clone()));
    let pack = json!({"items": [{"itemId": item, "quantity": 1}]});
    let packed = staff(shop.post(&format!("{path}/fulfilments")), "pack").json(&pack).send().await.expect(201);
    let parcel = packed["order"]["fulfilments"][0]["id"].as_str().unwrap().to_owned();
    done.push(("POST /api/v1/admin/orders/{order}/fulfilments", order_id.clone()));
    let tracking = json!({"trackingNumber": "TRK-1", "carrier": "dhl"});
    staff(shop.patch(&format!("{path}/tracking")), "tracking").json(&tracking).send().await.expect(200);
    done.push(("PATCH /api/v1/admin/orders/{order}/tracking", order_id.clone()));
    let ship = json!({"version": 2, "status": "shipped"});
    staff(shop.patch(&format!("{path}/fulfilments/{parcel}")), "ship").json(&ship).send().await.expect(200);
    done.push(("PATCH /api/v1/admin/orders/{order}/fulfilments/{fulfilment}", order_id.clone()));
    let again = json!({"kind": "shipped"});
    staff(shop.post(&format!("{path}/mails")), "mail").json(&again).send().await.expect(200);
    done.push(("POST /api/v1/admin/orders/{order}/mails", order_id.clone()));
    let deliver = json!({"status": "delivered"});
    staff(shop.patch(&format!("{path}/status")), "deliver").json(&deliver).send().await.expect(200);
    staff(shop.patch(&format!("{path}/status")), "refused").json(&deliver).send().await.expect_error(409, "CONFLICT");
    done.push(("PATCH /api/v1/admin/orders/{order}/status", order_id.clone()));
    let wish = json!({"items": [{"itemId": item, "quantity": 1, "reason": "damaged"}]});
    let asked = staff(shop.post(&format!("{path}/returns")), "return").json(&wish).send().await.expect(201);
    let back = asked["order"]["returns"][0]["id"].as_str().unwrap().to_owned();
    done.push(("POST /api/v1/admin/orders/{order}/returns", order_id.clone()));
    let approve = json!({"version": 1, "status": "approved"});
    staff(shop.patch(&format!("{path}/returns/{back}")), "approve").json(&approve).send().await.expect(200);
    done.push(("PATCH /api/v1/admin/orders/{order}/returns/{return}", order_id.clone()));
    let given_up = shop.order(&ama, &goods, 1).await["id"].as_str().unwrap().to_owned();
    let path = format!("/admin/orders/{given_up}/cancel");
    staff(shop.post(&path), "give-up").json(&json!({})).send().await.expect(200);
    done.push(("POST /api/v1/admin/orders/{order}/cancel", given_up));
    let waiting = shop.order_paid_by(&ama, &goods, "manual_transfer").await.expect(201)["order"].clone();
    let waiting = waiting["id"].as_str().unwrap().to_owned();
    let money = json!({"amount": 1, "reference": "FT-1"});
    let path = format!("/admin/orders/{waiting}/payments");
    staff(shop.post(&path), "record-payment").json(&money).send().await.expect(201);
    done.push(("POST /api/v1/admin/orders/{order}/payments", waiting));
    for (deed, route) in [
        ("approve", "POST /api/v1/admin/reviews/{review}/approve"),
        ("reject", "POST /api/v1/admin/reviews/{review}/reject"),
    ] {
        let held = shop.paid_order(&ama, &goods, 1).await;
        let review = shop.hold(&held).await;
        let path = format!("/admin/reviews/{review}/{deed}");
        staff(shop.post(&path), &format!("{deed}-review"))
            .json(&json!({"note": "Ama has called"}))
            .send()
            .await
            .expect(200);
        staff(shop.post(&path), "refused").json(&json!({})).send().await.expect_error(409, "CONFLICT");
        done.push((route, review));
    }
    money_back(&shop, &staff, (&ama, &goods), &mut done).await;
    let kofis = format!("/admin/users/{kofi_id}");
    let lock = json!({"reason": "asked for it"});
    staff(shop.post(&format!("{kofis}/lock")), "lock").json(&lock).send().await.expect(200);
    done.push(("POST /api/v1/admin/users/{user}/lock", kofi_id.clone()));
    staff(shop.post(&format!("{kofis}/unlock")), "unlock").send().await.expect(200);
    done.push(("POST /api/v1/admin/users/{user}/unlock", kofi_id.clone()));
    staff(shop.delete(&format!("{kofis}/2fa")), "2fa").send().await.expect(200);
    done.push(("DELETE /api/v1/admin/users/{user}/2fa", kofi_id.clone()));
    staff(shop.patch(&format!("{kofis}/role")), "role").json(&json!({"role": "merchant"})).send().await.expect(200);
    done.push(("PATCH /api/v1/admin/users/{user}/role", kofi_id.clone()));
    let amas = format!("/admin/users/{ama_id}/sessions");
    staff(shop.delete(&format!("{amas}/{session}")), "session").send().await.expect(200);
    done.push(("DELETE /api/v1/admin/users/{user}/sessions/{session}", ama_id.clone()));
    staff(shop.delete(&amas), "sessions").send().await.expect(200);
    done.push(("DELETE /api/v1/admin/users/{user}/sessions", ama_id.clone()));
    let file = "Handle,Title,Variant Price\nscarf,Scarf,5\n";
    let import = staff(shop.post("/admin/imports"), "import").bytes("text/csv", file).send().await.expect(201);
    let import_id = import["import"]["id"].as_str().unwrap().to_owned();
    done.push(("POST /api/v1/admin/imports", import_id.clone()));
    shop.wait_for_jobs().await;
    // Another one waits while somebody else has the turn, and is cancelled meanwhile.
    let mut turn = shop.database.pool.begin().await.unwrap();
    let lock = "select pg_advisory_xact_lock(hashtextextended('agape product import', 0))";
    sqlx::query(lock).execute(&mut *turn).await.unwrap();
    let second = staff(shop.post("/admin/imports"), "second").bytes("text/csv", file).send().await.expect(201);
    let second = second["import"]["id"].as_str().unwrap().to_owned();
    staff(shop.post(&format!("/admin/imports/{second}/cancel")), "cancel").send().await.expect(200);
    turn.rollback().await.unwrap();
    done.push(("POST /api/v1/admin/imports/{import}/cancel", second.clone()));

    let parts: [(&str, &str, &str, &[u8]); 1] = [("file", "a", "", &jpeg(20, 10))];
    let assets =
        staff(shop.post("/admin/media"), "upload").multipart(&parts).send().await.expect(201)["assets"].clone();
    let asset = assets[0]["id"].as_str().unwrap().to_owned();
    done.push(("POST /api/v1/admin/media", asset.clone()));
    let content = jpeg(30, 10);
    let body = json!({"contentType": "image/jpeg", "bytes": content.len()});
    let upload = staff(shop.post("/admin/media/upload-signature"), "allow").json(&body).send().await.expect(201);
    let upload = upload["upload"].clone();
    done.push(("POST /api/v1/admin/media/upload-signature", upload["id"].as_str().unwrap().to_owned()));
    assert_eq!(shop.put(upload["url"].as_str().unwrap()).bytes("image/jpeg", content).send().await.status, 204);
    staff(shop.post("/admin/media/confirm"), "confirm").json(&json!({"id": upload["id"]})).send().await.expect(201);
    done.push(("POST /api/v1/admin/media/confirm", upload["id"].as_str().unwrap().to_owned()));
    let other = shop.product(&admin, "B", 1_000, 1).await.id;
    let images = format!("/products/{other}/images");
    let body = json!({"assetId": asset, "alt": "Gold"});
    let image = staff(shop.post(&images), "add-image").json(&body).send().await.expect(201);
    let image = image["product"]["images"][0]["id"].as_str().unwrap().to_owned();
    done.push(("POST /api/v1/products/{product}/images", other.clone()));
    let one = format!("{images}/{image}");
    staff(shop.patch(&one), "image").json(&json!({"alt": "Red"})).send().await.expect(200);
    done.push(("PATCH /api/v1/products/{product}/images/{image}", other.clone()));
    let order = json!({"images": [image]});
    staff(shop.put(&format!("{images}/order")), "order-images").json(&order).send().await.expect(200);
    done.push(("PUT /api/v1/products/{product}/images/order", other.clone()));
    // A picture of an import that could not be had.
    let failed = "update product_images set source_url = 'http://127.0.0.1/a.png', fetch_status = 'failed',
                  fetch_error = 'it is not there'";
    sqlx::query(failed).execute(&shop.database.pool).await.unwrap();
    staff(shop.post(&format!("{one}/fetch")), "fetch-image").send().await.expect(200);
    done.push(("POST /api/v1/products/{product}/images/{image}/fetch", other.clone()));
    shop.wait_for_jobs().await;
    sqlx::query(failed).execute(&shop.database.pool).await.unwrap();
    staff(shop.post(&format!("{images}/fetch")), "fetch-images").send().await.expect(200);
    done.push(("POST /api/v1/products/{product}/images/fetch", other.clone()));
    shop.wait_for_jobs().await;
    staff(shop.delete(&one), "remove-image").send().await.expect(200);
    done.push(("DELETE /api/v1/products/{product}/images/{image}", other.clone()));
    staff(shop.delete(&format!("/admin/media/{asset}")), "delete-media").send().await.expect(200);
    done.push(("DELETE /api/v1/admin/media/{asset}", asset.clone()));

    let body = json!({"code": "TEN", "kind": "percentage", "percent": 10});
    let coupon = staff(shop.post("/admin/coupons"), "coupon").json(&body).send().await.expect(201);
    let coupon = coupon["coupon"]["id"].as_str().unwrap().to_owned();
    done.push(("POST /api/v1/admin/coupons", coupon.clone()));
    let body = json!({"count": 3, "prefix": "VIP-", "coupon": {"kind": "free_shipping"}});
    staff(shop.post("/admin/coupons/batch"), "coupons").json(&body).send().await.expect(201);
    // It is about many coupons.
    done.push(("POST /api/v1/admin/coupons/batch", String::new()));
    let path = format!("/admin/coupons/{coupon}");
    let change = json!({"version": 1, "percent": 15});
    staff(shop.patch(&path), "change-coupon").json(&change).send().await.expect(200);
    done.push(("PATCH /api/v1/admin/coupons/{coupon}", coupon.clone()));
    staff(shop.patch(&path), "refused").json(&change).send().await.expect_error(409, "CONFLICT");
    staff(shop.delete(&path), "delete-coupon").send().await.expect(200);
    done.push(("DELETE /api/v1/admin/coupons/{coupon}", coupon.clone()));

    let body = json!({"url": "https://127.0.0.1:9/events", "topics": ["order.paid"]});
    let webhook = staff(shop.post("/admin/webhooks"), "webhook").json(&body).send().await.expect(201);
    let webhook = webhook["webhook"]["id"].as_str().unwrap().to_owned();
    done.push(("POST /api/v1/admin/webhooks", webhook.clone()));
    let path = format!("/admin/webhooks/{webhook}");
    staff(shop.post(&format!("{path}/secret")), "webhook-secret").send().await.expect(200);
    done.push(("POST /api/v1/admin/webhooks/{webhook}/secret", webhook.clone()));
    let ping = staff(shop.post(&format!("{path}/test")), "webhook-test").send().await.expect(202);
    done.push(("POST /api/v1/admin/webhooks/{webhook}/test", webhook.clone()));
    let again = json!({"deliveryIds": [ping["delivery"]["id"]]});
    staff(shop.post(&format!("{path}/replay")), "webhook-replay").json(&again).send().await.expect(202);
    done.push(("POST /api/v1/admin/webhooks/{webhook}/replay", webhook.clone()));
    let change = json!({"version": 2, "isActive": false});
    staff(shop.patch(&path), "webhook-off").json(&change).send().await.expect(200);
    done.push(("PATCH /api/v1/admin/webhooks/{webhook}", webhook.clone()));
    staff(shop.patch(&path), "refused").json(&change).send().await.expect_error(409, "CONFLICT");
    staff(shop.delete(&path), "webhook-gone").send().await.expect(200);
    done.push(("DELETE /api/v1/admin/webhooks/{webhook}", webhook.clone()));

    provider(&shop, &staff, &mut done).await;

    let mut log = entries(&shop, &admin, "limit=100").await;
    log.extend(entries(&shop, &admin, "limit=100&page=2").await);
    let of = |request: &str| log.iter().filter(|entry| entry["requestId"] == request).cloned().collect::<Vec<_>>();
    let of_route = |route: &str| done.iter().find(|(known, _)| *known == route).unwrap().1.clone();
    for (request, action, route) in [
        ("category", "category.create", "POST /api/v1/categories"),
        ("create", "product.create", "POST /api/v1/products"),
        ("update", "product.update", "PATCH /api/v1/products/{product}"),
        ("variant", "product.update_variant", "PATCH /api/v1/products/{product}/variants/{variant}"),
        ("add", "product.add_variant", "POST /api/v1/products/{product}/variants"),
        ("order", "product.order_variants", "PUT /api/v1/products/{product}/variants/order"),
        ("remove", "product.remove_variant", "DELETE /api/v1/products/{product}/variants/{variant}"),
        ("delete", "product.delete", "DELETE /api/v1/products/{product}"),
        ("restore", "product.restore", "POST /api/v1/products/{product}/restore"),
        ("level", "inventory.update", "PATCH /api/v1/admin/inventory/{variant}"),
        ("levels", "inventory.adjust", "POST /api/v1/admin/inventory/adjustments"),
        ("file", "inventory.adjust", "POST /api/v1/admin/inventory/import"),
        ("bulk", "product.bulk", "POST /api/v1/admin/products/bulk"),
        ("rename", "category.update", "PATCH /api/v1/categories/{category}"),
        ("sort", "category.order", "PUT /api/v1/categories/order"),
        ("drop", "category.delete", "DELETE /api/v1/categories/{category}"),
        ("event-again", "webhook_event.replay", "POST /api/v1/admin/webhook-events/{event}/replay"),
        ("compare", "reconciliation.start", "POST /api/v1/admin/reconciliations"),
        ("explain", "reconciliation_finding.resolve", "POST /api/v1/admin/reconciliation-findings/{finding}/resolve"),
        ("dispute-note", "dispute.note", "POST /api/v1/admin/disputes/{dispute}/notes"),
        ("dispute", "dispute.answer", "POST /api/v1/admin/disputes/{dispute}/resolve"),
        ("tax", "tax.create", "POST /api/v1/admin/taxes"),
        ("tax-rate", "tax.update", "PATCH /api/v1/admin/taxes/{tax}"),
        ("tax-next", "tax.schedule", "POST /api/v1/admin/taxes/{tax}/successor"),
        ("tax-gone", "tax.delete", "DELETE /api/v1/admin/taxes/{tax}"),
        ("zone", "shipping_zone.create", "POST /api/v1/admin/shipping/zones"),
        ("zone-name", "shipping_zone.update", "PATCH /api/v1/admin/shipping/zones/{zone}"),
        ("zone-gone", "shipping_zone.delete", "DELETE /api/v1/admin/shipping/zones/{zone}"),
        ("method", "shipping_method.create", "POST /api/v1/admin/shipping/zones/{zone}/methods"),
        ("method-price", "shipping_method.update", "PATCH /api/v1/admin/shipping/zones/{zone}/methods/{method}"),
        ("method-gone", "shipping_method.delete", "DELETE /api/v1/admin/shipping/zones/{zone}/methods/{method}"),
        ("note", "order.add_note", "POST /api/v1/admin/orders/{order}/notes"),
        ("pack", "order.pack", "POST /api/v1/admin/orders/{order}/fulfilments"),
        ("tracking", "order.set_tracking", "PATCH /api/v1/admin/orders/{order}/tracking"),
        ("ship", "order.update_parcel", "PATCH /api/v1/admin/orders/{order}/fulfilments/{fulfilment}"),
        ("mail", "order.resend_mail", "POST /api/v1/admin/orders/{order}/mails"),
        ("deliver", "order.set_status", "PATCH /api/v1/admin/orders/{order}/status"),
        ("return", "order.request_return", "POST /api/v1/admin/orders/{order}/returns"),
        ("approve", "order.decide_return", "PATCH /api/v1/admin/orders/{order}/returns/{return}"),
        ("give-up", "order.cancel", "POST /api/v1/admin/orders/{order}/cancel"),
        ("record-payment", "order.record_payment", "POST /api/v1/admin/orders/{order}/payments"),
        ("approve-review", "review.approve", "POST /api/v1/admin/reviews/{review}/approve"),
        ("reject-review", "review.reject", "POST /api/v1/admin/reviews/{review}/reject"),
        ("refund", "refund.create", "POST /api/v1/admin/orders/{order}/refunds"),
        ("account", "refund.name_account", "POST /api/v1/admin/refunds/{refund}/bank-details"),
        ("retry", "refund.retry", "POST /api/v1/admin/refunds/{refund}/retry"),
        ("by-hand", "refund.by_hand", "POST /api/v1/admin/refunds/{refund}/manual"),
        ("accept", "payment.accept", "POST /api/v1/admin/payments/{payment}/accept"),
        ("money-back", "payment.give_back", "POST /api/v1/admin/payments/{payment}/refund"),
        ("lock", "user.lock", "POST /api/v1/admin/users/{user}/lock"),
        ("unlock", "user.unlock", "POST /api/v1/admin/users/{user}/unlock"),
        ("2fa", "user.two_factor_reset", "DELETE /api/v1/admin/users/{user}/2fa"),
        ("role", "user.set_role", "PATCH /api/v1/admin/users/{user}/role"),
        ("session", "session.revoke", "DELETE /api/v1/admin/users/{user}/sessions/{session}"),
        ("sessions", "session.revoke", "DELETE /api/v1/admin/users/{user}/sessions"),
        ("import", "import.start", "POST /api/v1/admin/imports"),
        ("cancel", "import.cancel", "POST /api/v1/admin/imports/{import}/cancel"),
        ("upload", "media.upload", "POST /api/v1/admin/media"),
        ("allow", "media.allow_upload", "POST /api/v1/admin/media/upload-signature"),
        ("confirm", "media.upload", "POST /api/v1/admin/media/confirm"),
        ("add-image", "product.add_image", "POST /api/v1/products/{product}/images"),
        ("image", "product.update_image", "PATCH /api/v1/products/{product}/images/{image}"),
        ("order-images", "product.order_images", "PUT /api/v1/products/{product}/images/order"),
        ("fetch-image", "product.fetch_images", "POST /api/v1/products/{product}/images/{image}/fetch"),
        ("fetch-images", "product.fetch_images", "POST /api/v1/products/{product}/images/fetch"),
        ("remove-image", "product.remove_image", "DELETE /api/v1/products/{product}/images/{image}"),
        ("delete-media", "media.delete", "DELETE /api/v1/admin/media/{asset}"),
        ("coupon", "coupon.create", "POST /api/v1/admin/coupons"),
        ("coupons", "coupon.create_batch", "POST /api/v1/admin/coupons/batch"),
        ("change-coupon", "coupon.update", "PATCH /api/v1/admin/coupons/{coupon}"),
        ("delete-coupon", "coupon.delete", "DELETE /api/v1/admin/coupons/{coupon}"),
        ("webhook", "webhook.create", "POST /api/v1/admin/webhooks"),
        ("webhook-secret", "webhook.rotate_secret", "POST /api/v1/admin/webhooks/{webhook}/secret"),
        ("webhook-test", "webhook.test", "POST /api/v1/admin/webhooks/{webhook}/test"),
        ("webhook-replay", "webhook.replay", "POST /api/v1/admin/webhooks/{webhook}/replay"),
        ("webhook-off", "webhook.update", "PATCH /api/v1/admin/webhooks/{webhook}"),
        ("webhook-gone", "webhook.delete", "DELETE /api/v1/admin/webhooks/{webhook}"),
    ] {
        let found = of(request);
        assert_eq!(found.len(), 1, "{request}: {found:#?}");
        let entry = &found[0];
        let entity_id = Some(of_route(route)).filter(|id| !id.is_empty());
        assert_eq!((&entry["action"], &entry["entityId"]), (&json!(action), &json!(entity_id)));
        assert_eq!(entry["entity"], action.split('.').next().unwrap().replace("session", "user"));
        assert_eq!((&entry["actorId"], &entry["actorRole"]), (&json!(admin_id), &json!("admin")), "{request}");
        assert_eq!((&entry["ip"], &entry["userAgent"]), (&json!(IP), &json!(AGENT)), "{request}");
    }
    assert!(of("refused").is_empty(), "what was refused is no deed");
    let states = |request: &str| {
        let entry = of(request).remove(0);
        (entry["before"].clone(), entry["after"].clone())
    };
    let made = json!({"name": "Cloths", "slug": "cloths", "parentId": null});
    assert_eq!(states("category"), (Value::Null, made));
    let (before, after) = states("create");
    assert_eq!((&before, &after["sku"], &after["inventory"]), (&Value::Null, &json!("A"), &json!(3)));
    let (before, after) = states("update");
    assert_eq!((&before["price"], &before["version"]), (&json!(1_000), &json!(1)));
    assert_eq!((&after["price"], &after["version"]), (&json!(2_000), &json!(2)));
    let (before, after) = states("lock");
    assert_eq!(before, json!({"suspendedAt": null, "reason": null, "lockedUntil": null}));
    assert!(after["suspendedAt"].is_string() && after["reason"] == "asked for it", "{after}");
    assert_eq!(states("unlock"), (after, before));
    let (before, after) = states("ship");
    assert_eq!((&before["status"], &after["status"]), (&json!("processing"), &json!("shipped")));
    assert_eq!(after["parcels"], json!([{"number": 1, "status": "shipped", "carrier": "DHL", "units": 1}]));
    assert_eq!(states("2fa"), (json!({"twoFactor": true}), json!({"twoFactor": false})));
    let (before, after) = states("delete");
    assert_eq!((&before["status"], &after["status"]), (&json!("active"), &json!("archived")));
    let (before, after) = states("restore");
    assert_eq!((&before["status"], &after["status"]), (&json!("archived"), &json!("inactive")));
    let (before, after) = states("add");
    let count = |state: &Value| state["variants"].as_array().unwrap().len();
    assert_eq!((count(&before), count(&after)), (1, 2));
    let (before, after) = states("level");
    assert_eq!((&before["onHand"], &after["onHand"], &after["version"]), (&json!(3), &json!(5), &json!(2)));
    let (before, after) = states("file");
    assert_eq!((&before["A"]["onHand"], &after["A"]["onHand"]), (&json!(4), &json!(6)));
    let (before, after) = states("bulk");
    assert_eq!(before, json!({"products": {&product_id: {"isFeatured": false}}}));
    assert_eq!(after["products"], json!({&product_id: {"isFeatured": true}}));
    assert_eq!((&after["updated"], &after["request"]["action"]), (&json!([product_id]), &json!("feature")));
    let (before, after) = states("rename");
    assert_eq!(before, json!({"name": "Cloths", "version": 1}));
    assert_eq!(after, json!({"name": "Fabrics", "version": 2}));
    let (before, after) = states("drop");
    assert_eq!((&before["name"], &after), (&json!("Lace"), &Value::Null));
    let (before, after) = states("tax-rate");
    assert_eq!((&before["rateBasisPoints"], &after["rateBasisPoints"]), (&json!(500), &json!(600)));
    let (before, after) = states("tax-gone");
    assert_eq!((&before["version"], &after), (&json!(3), &Value::Null));
    let (before, after) = states("method-price");
    assert_eq!((&before["method"]["price"], &after["method"]["price"]), (&json!(10), &json!(20)));
    let (before, after) = states("zone-gone");
    assert_eq!((&before["places"], &after), (&json!([{"country": "KE", "region": null}]), &Value::Null));
    let (before, after) = states("image");
    assert_eq!((&before["images"][0]["alt"], &after["images"][0]["alt"]), (&json!("Gold"), &json!("Red")));
    assert_eq!(states("delete-media"), (states("upload").1["assets"][0].clone(), Value::Null));
    let (before, after) = states("change-coupon");
    assert_eq!((before, after), (json!({"percent": 10, "version": 1}), json!({"percent": 15, "version": 2})));
    assert_eq!((&states("delete-coupon").0["code"], states("delete-coupon").1), (&json!("TEN"), Value::Null));
    assert_eq!(states("role"), (json!({"role": "customer"}), json!({"role": "merchant"})));
    assert_eq!(states("session").1, json!({"sessions": [session]}));
    assert_eq!(states("sessions").1, json!({"sessions": []}));

    let imported: Vec<_> = log.iter().filter(|entry| entry["action"] == "product.import").collect();
    assert_eq!(imported.len(), 1);
    assert_eq!((&imported[0]["entityId"], &imported[0]["actorId"]), (&json!(import_id), &json!(admin_id)));
    assert_eq!((&imported[0]["after"]["created"], &imported[0]["after"]["refused"]), (&json!(1), &json!(0)));

    let document = shop.get("//openapi.json").send().await.body;
    let mut writes = BTreeSet::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let rules = operation["security"].as_array().cloned().unwrap_or_default();
            let is_staffs = rules.iter().any(|rule| rule["bearer"].as_array().is_some_and(|scopes| !scopes.is_empty()));
            if is_staffs && method != "get" {
                writes.insert(format!("{} {path}", method.to_uppercase()));
            }
        }
    }
    let done: BTreeSet<String> = done.iter().map(|(route, _)| (*route).to_owned()).collect();
    assert_eq!(writes, done);
    assert_chain(&shop).await;
}

/// All that staff do to taxes and shipping.
/// What staff do to money.
async fn money_back(
    shop: &TestApp,
    staff: &impl Fn(Call, &str) -> Call,
    (ama, goods): (&str, &Product),
    done: &mut Vec<(&'static str, String)>,
) {
    let status = async |id: &str, status: &str| {
        shop.wait_for("the refund", || async {
            let sql = "select status from refunds where id::text = $1";
            let found: String = sqlx::query_scalar(sql).bind(id).fetch_one(&shop.database.pool).await.unwrap();
            (found == status).then_some(())
        })
        .await;
    };
    let moves = async |id: &str, to: &str| {
        let sql = "select provider_refund_id from refunds where id::text = $1";
        let number: i64 = sqlx::query_scalar(sql).bind(id).fetch_one(&shop.database.pool).await.unwrap();
        control(shop, "refund", &json!({"id": number, "status": to})).await;
        status(id, &to.replace('-', "_")).await;
    };
    let id_in = |answer: &Value| answer["refund"]["id"].as_str().unwrap().to_owned();
    control(shop, "faults", &json!({"refunds": "held"})).await;
    let order = shop.paid_order(ama, goods, 1).await;
    let path = format!("/admin/orders/{}/refunds", order["id"].as_str().unwrap());
    let asked = staff(shop.post(&path), "refund").json(&json!({"amount": 10})).send().await.expect(201);
    let refund = id_in(&asked);
    done.push(("POST /api/v1/admin/orders/{order}/refunds", refund.clone()));
    status(&refund, "processing").await;
    moves(&refund, "needs-attention").await;
    let path = format!("/admin/refunds/{refund}");
    let account = json!({"accountNumber": "0123456789", "bankId": 9});
    staff(shop.post(&format!("{path}/bank-details")), "account").json(&account).send().await.expect(200);
    done.push(("POST /api/v1/admin/refunds/{refund}/bank-details", refund.clone()));
    moves(&refund, "failed").await;
    let retried = staff(shop.post(&format!("{path}/retry")), "retry").json(&json!({})).send().await.expect(201);
    let refund = id_in(&retried);
    done.push(("POST /api/v1/admin/refunds/{refund}/retry", refund.clone()));
    status(&refund, "processing").await;
    moves(&refund, "failed").await;
    let path = format!("/admin/refunds/{refund}/manual");
    let by_hand = staff(shop.post(&path), "by-hand").json(&json!({"note": "cash"})).send().await.expect(201);
    done.push(("POST /api/v1/admin/refunds/{refund}/manual", id_in(&by_hand)));
    for (what, id, route) in [
        ("accept", "accept", "POST /api/v1/admin/payments/{payment}/accept"),
        ("refund", "money-back", "POST /api/v1/admin/payments/{payment}/refund"),
    ] {
        let order = shop.order(ama, goods, 1).await;
        let page = shop.initialize(ama, &order).await;
        control(shop, "faults", &json!({"amount_delta": -100})).await;
        shop.pay(&page).await;
        let payment = page["paymentId"].as_str().unwrap().to_owned();
        shop.wait_for("the flag", || async {
            let sql = "select status from payments where id::text = $1";
            let found: String = sqlx::query_scalar(sql).bind(&payment).fetch_one(&shop.database.pool).await.unwrap();
            (found == "flagged").then_some(())
        })
        .await;
        let path = format!("/admin/payments/{payment}/{what}");
        staff(shop.post(&path), id).json(&json!({"note": "so be it"})).send().await.expect(200);
        done.push((route, payment));
    }
    control(shop, "faults", &json!({})).await;
}

async fn rates(shop: &TestApp, staff: &impl Fn(Call, &str) -> Call, done: &mut Vec<(&'static str, String)>) {
    let id = |thing: &Value| thing["id"].as_str().unwrap().to_owned();
    let body =
        json!({"name": "Duty", "country": "KE", "rateBasisPoints": 500, "effectiveFrom": "2026-01-01T00:00:00Z"});
    let tax = staff(shop.post("/admin/taxes"), "tax").json(&body).send().await.expect(201)["tax"].clone();
    let path = format!("/admin/taxes/{}", id(&tax));
    done.push(("POST /api/v1/admin/taxes", id(&tax)));
    let body = json!({"version": 1, "rateBasisPoints": 600});
    staff(shop.patch(&path), "tax-rate").json(&body).send().await.expect(200);
    done.push(("PATCH /api/v1/admin/taxes/{tax}", id(&tax)));
    staff(shop.patch(&path), "refused").json(&body).send().await.expect_error(409, "CONFLICT");
    let body = json!({"version": 2, "rateBasisPoints": 700, "effectiveFrom": "2030-01-01T00:00:00Z"});
    staff(shop.post(&format!("{path}/successor")), "tax-next").json(&body).send().await.expect(201);
    done.push(("POST /api/v1/admin/taxes/{tax}/successor", id(&tax)));
    staff(shop.delete(&path), "tax-gone").send().await.expect(200);
    done.push(("DELETE /api/v1/admin/taxes/{tax}", id(&tax)));

    let body = json!({"name": "Kenya", "places": [{"country": "KE"}]});
    let zone = staff(shop.post("/admin/shipping/zones"), "zone").json(&body).send().await.expect(201)["zone"].clone();
    let path = format!("/admin/shipping/zones/{}", id(&zone));
    done.push(("POST /api/v1/admin/shipping/zones", id(&zone)));
    let body = json!({"version": 1, "name": "East"});
    staff(shop.patch(&path), "zone-name").json(&body).send().await.expect(200);
    done.push(("PATCH /api/v1/admin/shipping/zones/{zone}", id(&zone)));
    let body = json!({"code": "air", "name": "By air", "price": 10, "minDays": 1, "maxDays": 2});
    let methods = format!("{path}/methods");
    let method = staff(shop.post(&methods), "method").json(&body).send().await.expect(201)["method"].clone();
    done.push(("POST /api/v1/admin/shipping/zones/{zone}/methods", id(&method)));
    let one = format!("{methods}/{}", id(&method));
    let body = json!({"version": 1, "price": 20});
    staff(shop.patch(&one), "method-price").json(&body).send().await.expect(200);
    done.push(("PATCH /api/v1/admin/shipping/zones/{zone}/methods/{method}", id(&method)));
    staff(shop.delete(&one), "method-gone").send().await.expect(200);
    done.push(("DELETE /api/v1/admin/shipping/zones/{zone}/methods/{method}", id(&method)));
    staff(shop.delete(&path), "zone-gone").send().await.expect(200);
    done.push(("DELETE /api/v1/admin/shipping/zones/{zone}", id(&zone)));
}

/// What staff do about the provider: the first paid order is disputed, and a difference is found.
async fn provider(shop: &TestApp, staff: &impl Fn(Call, &str) -> Call, done: &mut Vec<(&'static str, String)>) {
    let event = shop.database.text("select id::text from webhook_events limit 1").await.unwrap();
    let path = format!("/admin/webhook-events/{event}/replay");
    staff(shop.post(&path), "event-again").send().await.expect(202);
    done.push(("POST /api/v1/admin/webhook-events/{event}/replay", event));
    let body = json!({"from": "2026-01-01T00:00:00Z", "until": "2026-01-02T00:00:00Z"});
    let run = staff(shop.post("/admin/reconciliations"), "compare").json(&body).send().await.expect(202);
    done.push(("POST /api/v1/admin/reconciliations", run["reconciliation"]["id"].as_str().unwrap().to_owned()));
    let found = "insert into reconciliation_findings (id, kind, reference, status, mendable, found_at)
                 values (gen_random_uuid(), 'MISSING_IN_LOCAL', 'r', 'open', false, now()) returning id::text";
    let finding = shop.database.text(found).await.unwrap();
    let path = format!("/admin/reconciliation-findings/{finding}/resolve");
    staff(shop.post(&path), "explain").json(&json!({"note": "a refund by hand"})).send().await.expect(200);
    done.push(("POST /api/v1/admin/reconciliation-findings/{finding}/resolve", finding));
    let reference = shop.database.text("select reference from payments where status = 'success' limit 1").await;
    let open = shop.post("//sandbox/paystack/_control/disputes").token(PAYSTACK_KEY);
    open.json(&json!({"reference": reference})).send().await.expect(200);
    let dispute = shop.wait_for("the dispute", || shop.database.text("select id::text from disputes")).await;
    let path = format!("/admin/disputes/{dispute}");
    staff(shop.post(&format!("{path}/notes")), "dispute-note")
        .json(&json!({"text": "Ama again"}))
        .send()
        .await
        .expect(201);
    done.push(("POST /api/v1/admin/disputes/{dispute}/notes", dispute.clone()));
    let body = json!({"resolution": "declined", "message": "Ama has it"});
    staff(shop.post(&format!("{path}/resolve")), "dispute").json(&body).send().await.expect(200);
    done.push(("POST /api/v1/admin/disputes/{dispute}/resolve", dispute));
    shop.wait_for_jobs().await;
}

/// So does what people do with their accounts: coming in, failing to, leaving, taking their data away.
#[tokio::test]
async fn sign_ins_and_exports_are_on_record() {
    let shop = behind_a_proxy().await;
    let admin = shop.staff(Role::Admin).await;
    let mark = |call: Call, id: &str| {
        call.header("x-forwarded-for", IP).header("user-agent", AGENT).header("x-request-id", id)
    };
    let login = |email: &str, password: &str, id: &str| {
        let call = mark(shop.post("/auth/login"), id).json(&json!({"email": email, "password": password}));
        async move { call.send().await }
    };
    let body = json!({"email": AMA, "password": PASSWORD, "name": "Ama Mensah"});
    mark(shop.post("/auth/register"), "register").json(&body).send().await.expect(201);
    let token = login(AMA, PASSWORD, "login").await.expect(200)["accessToken"].as_str().unwrap().to_owned();
    login(AMA, "Wrong@1234", "failed").await.expect_error(401, "AUTHENTICATION_ERROR");
    login("nobody@example.com", "Wrong@1234", "unknown").await.expect_error(401, "AUTHENTICATION_ERROR");
    mark(shop.get("/privacy/export"), "export").token(&token).send().await.expect(200);
    let ama = id_of(&shop, &token).await;
    mark(shop.post("/auth/logout"), "logout").token(&token).send().await.expect(200);
    let log = entries(&shop, &admin, "limit=100").await;
    for (request, action, entity_id, actor) in [
        ("register", "user.register", json!(ama), Value::Null),
        ("login", "user.login", json!(ama), Value::Null),
        ("failed", "user.login_failed", json!(ama), Value::Null),
        ("unknown", "user.login_failed", Value::Null, Value::Null),
        ("export", "user.export", json!(ama), json!(ama)),
        ("logout", "user.logout", json!(ama), Value::Null),
    ] {
        let found: Vec<&Value> = log.iter().filter(|entry| entry["requestId"] == request).collect();
        assert_eq!(found.len(), 1, "{request}: {found:#?}");
        let entry = found[0];
        assert_eq!((&entry["action"], &entry["entity"]), (&json!(action), &json!("user")));
        assert_eq!((&entry["entityId"], &entry["actorId"]), (&entity_id, &actor), "{request}");
        let role = if actor.is_null() { Value::Null } else { json!("customer") };
        assert_eq!(entry["actorRole"], role, "{request}");
        assert_eq!((&entry["ip"], &entry["userAgent"]), (&json!(IP), &json!(AGENT)), "{request}");
    }
    // Neither what was typed nor who does not exist is kept.
    let words = "select count(*) from audit_parts where content::text ~* 'nobody@|wrong@1234|test@1234'";
    assert_eq!(shop.database.count(words).await, 0);
}

/// Entries are found by who, what, on what and when; a page has the newest first.
#[tokio::test]
async fn entries_are_filtered_and_come_in_pages() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let merchant = shop.staff(Role::Merchant).await;
    let merchant_id = id_of(&shop, &merchant).await;
    let mut products = Vec::new();
    for sku in ["A", "B", "C"] {
        shop.app.clock.advance(TimeDelta::seconds(10));
        products.push(shop.product(&merchant, sku, 100, 1).await);
    }
    let path = format!("/products/{}", products[1].id);
    shop.app.clock.advance(TimeDelta::seconds(10));
    shop.patch(&path).token(&admin).json(&json!({"version": 1, "price": 5})).send().await.expect(200);
    let actions = |entries: &[Value]| {
        entries.iter().map(|entry| entry["action"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let find = async |query: &str| entries(&shop, &admin, query).await;

    let all = find("limit=100").await;
    let seqs: Vec<i64> = all.iter().map(|entry| entry["seq"].as_i64().unwrap()).collect();
    assert_eq!(seqs, (1..=seqs.len() as i64).rev().collect::<Vec<_>>());
    assert_eq!(all.len(), 8, "two of the staff made and signed in, three products, one change: {all:#?}");
    assert_eq!(actions(&find(&format!("actor={merchant_id}")).await), ["product.create"; 3]);
    assert_eq!(actions(&find("action=product.update").await), ["product.update"]);
    assert_eq!(actions(&find("entity=user&action=user.login").await), ["user.login"; 2]);
    let of_b = find(&format!("entity=product&entityId={}", products[1].id)).await;
    assert_eq!(actions(&of_b), ["product.update", "product.create"]);
    assert!(find(&format!("entity=user&entityId={}", products[1].id)).await.is_empty());
    assert!(find(&format!("actor={merchant_id}&action=product.update")).await.is_empty());
    // From a time on, that time included, until another, which is not.
    let at = |entry: &Value| entry["at"].as_str().unwrap().to_owned();
    let (update, first) = (at(&all[0]), at(&all[3]));
    assert_eq!(actions(&find(&format!("from={update}")).await), ["product.update"]);
    assert_eq!(find(&format!("from={first}&until={update}")).await, all[1..4]);
    assert_eq!(find(&format!("until={first}")).await, all[4..]);

    let page = shop.get("/admin/audit?page=2&limit=3&entity=product").token(&admin).send().await;
    assert_eq!(page.body["pagination"], json!({"page": 2, "limit": 3, "total": 4, "totalPages": 2}), "{}", page.text);
    assert_eq!(page.expect(200)["entries"], json!([all[3]]));
    for wrong in ["actor=x", "from=yesterday", "page=0", "limit=101", "limit=x"] {
        let answer = shop.get(&format!("/admin/audit?{wrong}")).token(&admin).send().await;
        let fields = answer.expect_error(400, "VALIDATION_ERROR");
        assert_eq!(fields, [wrong.split('=').next().unwrap()], "{}", answer.text);
    }
    shop.get("/admin/audit").token(&merchant).send().await.expect_error(403, "AUTHORIZATION_ERROR");
    shop.get("/admin/audit/check").token(&merchant).send().await.expect_error(403, "AUTHORIZATION_ERROR");
}

/// Tries a statement in a transaction that is rolled back. Gives how many rows it concerned.
async fn attempt(shop: &TestApp, erasing: bool, sql: &str) -> Result<u64, String> {
    let mut tx = shop.database.pool.begin().await.unwrap();
    if erasing {
        sqlx::query("select set_config('agape.erasing', 'on', true)").execute(&mut *tx).await.unwrap();
    }
    let done = sqlx::query(AssertSqlSafe(sql.to_owned())).execute(&mut *tx).await;
    tx.rollback().await.unwrap();
    done.map(|done| done.rows_affected()).map_err(|error| error.to_string())
}

#[track_caller]
fn assert_refused(sql: &str, done: Result<u64, String>) {
    let error = done.expect_err(sql);
    assert!(error.contains("append-only"), "{sql}: {error}");
}

/// The database refuses to change the log, whatever the program does. Where an entry came from and what it was about
/// may be removed by a transaction that says that it erases, and never be written anew.
#[tokio::test]
async fn the_log_only_grows() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    shop.product(&admin, "A", 100, 1).await;
    for erasing in [false, true] {
        for sql in [
            "update audit_log set action = 'x'",
            "update audit_log set hash = hash where false",
            "delete from audit_log",
            "truncate audit_log cascade",
            "update audit_parts set content = '{}'",
            "update audit_parts set salt = salt where false",
            "truncate audit_parts",
        ] {
            assert_refused(sql, attempt(&shop, erasing, sql).await);
        }
    }
    let remove = "delete from audit_parts where part = 'origin'";
    assert_refused(remove, attempt(&shop, false, remove).await);
    assert!(attempt(&shop, true, remove).await.unwrap() > 0);
    // What was said in one transaction is not said in the next one of the same connection.
    let mut connection = shop.database.pool.acquire().await.unwrap();
    for sql in ["begin", "select set_config('agape.erasing', 'on', true)", "commit"] {
        sqlx::query(sql).execute(&mut *connection).await.unwrap();
    }
    let error = sqlx::query(remove).execute(&mut *connection).await.unwrap_err();
    assert!(error.to_string().contains("append-only"), "{error}");
    drop(connection);
    // An entry without its place in the chain, or with what is personal in its row, cannot be kept.
    for sql in [
        "insert into audit_parts values (0, 'origin', '{}', uuid_send(gen_random_uuid()))",
        "insert into audit_parts select id, 'x', '{}', uuid_send(gen_random_uuid()) from audit_log",
        "insert into audit_parts select id, 'change', '{}', 'short' from audit_log where seq = 2",
    ] {
        assert!(sqlx::query(sql).execute(&shop.database.pool).await.is_err(), "the database accepted: {sql}");
    }
    assert_chain(&shop).await;
}

/// An order's timeline only grows. Erasing takes words from it and nothing else.
#[tokio::test]
async fn a_timeline_loses_only_its_words() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let product = shop.product(&admin, "A", 100, 5).await;
    let ama = shop.customer(AMA).await;
    let order = shop.order(&ama, &product, 1).await;
    let path = format!("/orders/{}/cancel", order["id"].as_str().unwrap());
    shop.post(&path).token(&ama).json(&json!({"reason": "changed my mind"})).send().await.expect(200);
    let forget = "update order_events set note = null where note is not null";
    assert_refused(forget, attempt(&shop, false, forget).await);
    assert_eq!(attempt(&shop, true, forget).await, Ok(1));
    for erasing in [false, true] {
        for sql in [
            "update order_events set note = 'x'",
            "update order_events set note = note where note is not null",
            "update order_events set note = null, type = 'x'",
            "update order_events set note = null, from_status = null, to_status = 'paid'",
            "update order_events set note = null, actor_id = null where actor_id is not null",
            "update order_events set note = null, at = at - interval '1 day'",
            "update order_events set note = null, order_id = gen_random_uuid()",
            "update order_events set id = default",
            "delete from order_events",
            "delete from order_events where false",
            "truncate order_events",
        ] {
            assert_refused(sql, attempt(&shop, erasing, sql).await);
        }
    }
    let note = shop.database.text("select note from order_events where note is not null").await;
    assert_eq!(note.as_deref(), Some("changed my mind"));
}

/// Forty writers at once make one chain without a gap, in the order of their commits.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forty_writers_make_one_chain() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let before = assert_chain(&shop).await;
    let guess = |i: usize| {
        let body = json!({"email": format!("u{i}@example.com"), "password": "Wrong@1234"});
        shop.post("/auth/login").json(&body).send()
    };
    for answer in join_all((0..40).map(guess)).await {
        answer.expect_error(401, "AUTHENTICATION_ERROR");
    }
    assert_eq!(assert_chain(&shop).await, before + 40);
    assert_eq!(shop.database.count("select max(seq) - count(*) from audit_log").await, 0);
    assert_eq!(shop.database.count("select min(seq) from audit_log").await, 1);
    let state = check(&shop, &admin).await;
    assert_eq!((&state["intact"], &state["entries"]), (&json!(true), &json!(before + 40)));
    assert_eq!(state["faults"], json!([]));
    let last = entries(&shop, &admin, "limit=1").await;
    assert_eq!(state["head"], last[0]["hash"]);
    assert_eq!(last[0]["hash"].as_str().unwrap().len(), 64);
    // Looking is no deed.
    assert_eq!(check(&shop, &admin).await, state);
}

/// What the check finds after these statements of somebody who owns the database. They are rolled back.
async fn tampered(shop: &TestApp, statements: &[&str]) -> (Vec<(i64, String)>, Option<Vec<u8>>) {
    let mut tx = shop.database.pool.begin().await.unwrap();
    let off = ["alter table audit_log disable trigger all", "alter table audit_parts disable trigger all"];
    for sql in off.iter().chain(statements) {
        let done = sqlx::query(AssertSqlSafe((*sql).to_owned())).execute(&mut *tx).await.unwrap();
        assert!(sql.starts_with("alter") || done.rows_affected() > 0, "nothing was changed by {sql}");
    }
    let chain = audit::check_chain(&mut tx).await.unwrap();
    tx.rollback().await.unwrap();
    (chain.faults, chain.head)
}

/// Whoever owns the database can change the log, but not unseen: the check names the entry.
#[tokio::test]
async fn tampering_is_found_and_named() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    shop.customer(AMA).await;
    let product = shop.product(&admin, "A", 100, 1).await;
    let path = format!("/products/{}", product.id);
    shop.patch(&path).token(&admin).json(&json!({"version": 1, "price": 5})).send().await.expect(200);
    shop.customer("kofi@example.com").await;
    let log = entries(&shop, &admin, "limit=100").await;
    let actions: Vec<&str> = log.iter().rev().map(|entry| entry["action"].as_str().unwrap()).collect();
    let expected =
        ["user.create_staff", "user.login", "user.register", "product.create", "product.update", "user.register"];
    assert_eq!(actions, expected);
    let head = log[0]["hash"].as_str().unwrap().to_owned();
    let faults = async |statements: &[&str]| tampered(&shop, statements).await.0;
    let fault = |seq: i64, words: &str| (seq, words.to_owned());

    // A word of an entry, whichever.
    for change in [
        "at = at - interval '1 microsecond'",
        "actor_id = gen_random_uuid()",
        "actor_id = null",
        "actor_role = 'merchant'",
        "action = 'product.delete'",
        "entity = 'category'",
        "entity_id = gen_random_uuid()::text",
        "request_id = 'another'",
        "hash = sha256('another')",
    ] {
        let found = faults(&[&format!("update audit_log set {change} where seq = 4")]).await;
        assert_eq!(found.first(), Some(&fault(4, CHANGED)), "{change}: {found:?}");
    }
    // With a hash that fits, it is the next one that does not.
    let rehash =
        "update audit_log l set hash = audit_hash((select hash from audit_log where seq = 2), l) where seq = 3";
    let change = "update audit_log set action = 'user.logout' where seq = 3";
    assert_eq!(faults(&[change, rehash]).await, [fault(4, CHANGED)]);
    // Entries that are gone: in the middle, and the first.
    assert_eq!(faults(&["delete from audit_log where seq = 3"]).await, [fault(4, MISSING)]);
    assert_eq!(faults(&["delete from audit_log where seq <= 2"]).await, [fault(3, MISSING)]);
    // The last: only a head that was written down before tells.
    let (found, cut) = tampered(&shop, &["delete from audit_log where seq = 6"]).await;
    assert!(found.is_empty(), "{found:?}");
    assert_ne!(cut.map(hex::encode), Some(head.clone()));

    // What two entries were about, exchanged.
    let swap = "update audit_parts a set content = b.content from audit_parts b, audit_log l, audit_log m
                where l.id = a.entry_id and m.id = b.entry_id and a.part = 'change' and b.part = 'change'
                  and l.seq in (4, 5) and l.seq + m.seq = 9";
    let parts = [fault(4, "its change was changed"), fault(5, "its change was changed")];
    assert_eq!(faults(&[swap]).await, parts);
    // Where somebody was, in other words.
    let other = "update audit_parts set content = jsonb_set(content, '{ip}', '\"203.0.113.1\"')
                 where part = 'origin' and entry_id = (select id from audit_log where seq = 2)";
    assert_eq!(faults(&[other]).await, [fault(2, "its origin was changed")]);
    // A part of an entry that never had one.
    let made_up = "insert into audit_parts
                   select id, 'change', '{\"after\": 1}', uuid_send(gen_random_uuid()) from audit_log where seq = 2";
    assert_eq!(faults(&[made_up]).await, [fault(2, "its change was changed")]);

    // A made-up entry at the end, with any hash; in the middle, with one that fits.
    let insert = |seq: i64| {
        format!("insert into audit_log (at, action, entity, seq, hash) values (now(), 'x', 'x', {seq}, sha256('x'))")
    };
    assert_eq!(faults(&[&insert(7)]).await, [fault(7, CHANGED)]);
    let found = faults(&[
        "update audit_log set seq = seq + 1000 where seq >= 4",
        "update audit_log set seq = seq - 999 where seq >= 1000",
        &insert(4),
        "update audit_log l set hash = audit_hash((select hash from audit_log where seq = 3), l) where seq = 4",
    ])
    .await;
    assert_eq!(found.first(), Some(&fault(5, CHANGED)), "{found:?}");

    // The same as an administrator is told, and after it was mended.
    assert_eq!(check(&shop, &admin).await["head"], head.as_str());
    for (action, intact) in [("product.update", false), ("product.create", true)] {
        let change = format!("update audit_log set action = '{action}' where seq = 4");
        for sql in ["alter table audit_log disable trigger all", &change, "alter table audit_log enable trigger all"] {
            sqlx::query(AssertSqlSafe(sql.to_owned())).execute(&shop.database.pool).await.unwrap();
        }
        let state = check(&shop, &admin).await;
        assert_eq!((&state["intact"], &state["entries"]), (&json!(intact), &json!(6)), "{state:#}");
        let expected = if intact { json!([]) } else { json!([{"seq": 4, "fault": CHANGED}]) };
        assert_eq!(state["faults"], expected);
    }
}

/// A program of the version before, which knows only the old columns, writes links of the chain too.
#[tokio::test]
async fn entries_of_the_older_program_are_chained() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let before = assert_chain(&shop).await;
    for sql in [
        r#"insert into audit_log
             (at, actor_id, actor_role, action, entity, entity_id, before, after, ip, user_agent, request_id)
           values (now(), gen_random_uuid(), 'admin', 'product.update', 'product', 'p-1', '{"price": 1}',
                   '{"price": 2}', '203.0.113.9', 'Old/1.0', 'req-old')"#,
        // Several in one statement, with as little as is allowed.
        "insert into audit_log (at, action, entity)
         values (now(), 'user.login', 'user'), (now(), 'user.logout', 'user'), (now(), 'user.login', 'user')",
    ] {
        sqlx::query(sql).execute(&shop.database.pool).await.unwrap();
    }
    shop.customer(AMA).await;
    assert_eq!(assert_chain(&shop).await, before + 5);
    let entry = entries(&shop, &admin, "entityId=p-1").await.remove(0);
    assert_eq!(entry["seq"], before + 1);
    assert_eq!((&entry["before"], &entry["after"]), (&json!({"price": 1}), &json!({"price": 2})));
    assert_eq!((&entry["ip"], &entry["userAgent"]), (&json!("203.0.113.9"), &json!("Old/1.0")));
    let whole = "select count(*) from audit_log
                 where ip is not null or user_agent is not null or before is not null or after is not null";
    assert_eq!(shop.database.count(whole).await, 0, "what can be erased is apart from the chain");
    // Whatever place and hash somebody names, the database gives its own.
    let named = "insert into audit_log (at, action, entity, seq, hash) values (now(), 'x', 'x', 1, sha256('x'))";
    sqlx::query(named).execute(&shop.database.pool).await.unwrap();
    assert_eq!(assert_chain(&shop).await, before + 6);
}

/// A time that the database does not have is refused, not a failure.
#[tokio::test]
async fn odd_times_are_refused() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    for (query, field) in [("from=-4713-01-01T00:00:00Z", "from"), ("until=%2B262000-01-01T00:00:00Z", "until")] {
        let answer = shop.get(&format!("/admin/audit?{query}")).token(&admin).send().await;
        assert_eq!(answer.expect_error(400, "VALIDATION_ERROR"), [field], "{query}");
    }
}

/// Who takes the catalogue away is on record, with the form in which he took it.
#[tokio::test]
async fn an_export_of_the_catalogue_is_on_record() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    shop.product(&admin, "A", 1_000, 1).await;
    assert_eq!(shop.get("/admin/exports/products?format=jsonl").token(&admin).send().await.status, 200);
    let found = entries(&shop, &admin, "action=product.export").await;
    assert_eq!(found.len(), 1, "{found:#?}");
    assert_eq!(found[0]["actorId"], id_of(&shop, &admin).await);
    assert_eq!(found[0]["after"], json!({"format": "jsonl"}));
    assert_chain(&shop).await;
}
