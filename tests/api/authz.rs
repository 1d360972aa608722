//! Who may do what. The routes are read from the OpenAPI document, so that none can be forgotten: a new one fails here
//! until it says who may use it, and opening one to everybody needs an edit of a list in this file.

use std::collections::BTreeSet;

use agape::features::auth::{self, Permission, Role};
use chrono::TimeDelta;
use futures::future::join_all;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{Answer, Call, PAYSTACK_KEY, Product, TestApp, address};

const PASSWORD: &str = "Test@1234";

/// It has the shape of a token, and no more.
const NONSENSE: &str = "x.y.z";

/// Open to everybody; a token is not looked at.
const PUBLIC: [&str; 23] = [
    "cancel_tracked_order",
    "get_category",
    "get_jwks",
    "get_product",
    "get_tracked_invoice",
    "healthz",
    "list_categories",
    "list_products",
    "list_related_products",
    "list_shipping_methods",
    "login",
    "login_second_step",
    "logout",
    "metrics",
    "readyz",
    "receive_paystack_webhook",
    "refresh",
    "register",
    "request_password_reset",
    "reset_password",
    "search_products",
    "suggest_products",
    "track_order",
];

/// Open to guests, but whoever sends a token must be who it says.
const OPTIONAL: [&str; 15] = [
    "acknowledge_cart_prices",
    "add_cart_item",
    "clear_cart",
    "get_cart",
    "initialize_payment",
    "list_consents",
    "place_order",
    "preview_coupon",
    "quote_order",
    "record_consent",
    "remove_cart_item",
    "request_back_in_stock",
    "update_cart_item",
    "verify_email",
    "verify_payment",
];

/// Which roles may do what.
const TABLE: [(&str, &[Role]); 13] = [
    ("manage_catalog", &[Role::Admin, Role::Merchant]),
    ("manage_inventory", &[Role::Admin, Role::Merchant, Role::Fulfilment]),
    ("manage_rates", &[Role::Admin, Role::Merchant]),
    ("manage_coupons", &[Role::Admin, Role::Merchant]),
    ("read_orders", &[Role::Admin, Role::Merchant, Role::Fulfilment, Role::Finance]),
    ("manage_orders", &[Role::Admin, Role::Merchant, Role::Fulfilment]),
    ("read_payments", &[Role::Admin, Role::Merchant, Role::Finance]),
    ("manage_payments", &[Role::Admin, Role::Finance]),
    ("read_users", &[Role::Admin, Role::Merchant]),
    ("manage_users", &[Role::Admin]),
    ("read_audit", &[Role::Admin]),
    ("read_events", &[Role::Admin, Role::Merchant]),
    ("manage_webhooks", &[Role::Admin]),
];

/// What `read_orders` opens of another person's things. All else of a person is his own, for staff too.
const STAFF_READS: [&str; 2] = ["get_order", "get_invoice"];

/// Routes of somebody who may be signed in, about a thing that is everybody's.
const ABOUT_NOBODYS: [&str; 1] = ["request_back_in_stock"];

/// Whom the document lets in.
#[derive(Debug, PartialEq)]
enum Access {
    Public,
    Optional,
    SignedIn,
    /// The roles that have this permission.
    Needs(String),
}

/// An operation of the document.
#[derive(Debug)]
struct Operation {
    id: String,
    method: String,
    path: String,
    tag: String,
    /// None where it does not say, or not in one of the four ways.
    access: Option<Access>,
    has_body: bool,
}

fn access(operation: &Value) -> Option<Access> {
    let security = operation.get("security")?;
    if *security == json!([{}]) {
        return Some(Access::Public);
    }
    if *security == json!([{}, {"bearer": []}]) {
        return Some(Access::Optional);
    }
    let [requirement] = security.as_array()?.as_slice() else { return None };
    if requirement.as_object()?.len() != 1 {
        return None;
    }
    match requirement.get("bearer")?.as_array()?.as_slice() {
        [] => Some(Access::SignedIn),
        [Value::String(permission)] => Some(Access::Needs(permission.clone())),
        _ => None,
    }
}

fn operations() -> Vec<Operation> {
    const METHODS: [&str; 8] = ["get", "put", "post", "delete", "options", "head", "patch", "trace"];
    let document: Value = serde_json::from_str(&agape::openapi::json().unwrap()).unwrap();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut operations = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in METHODS {
            let Some(operation) = item.get(method) else { continue };
            operations.push(Operation {
                id: text(&operation["operationId"]),
                method: method.to_owned(),
                path: path.clone(),
                tag: text(&operation["tags"][0]),
                access: access(operation),
                has_body: operation.get("requestBody").is_some(),
            });
        }
    }
    operations
}

/// Puts an id into each place for one.
fn fill(path: &str, mut id: impl FnMut() -> String) -> String {
    let parts = path.split('/').map(|part| if part.starts_with('{') { id() } else { part.to_owned() });
    parts.collect::<Vec<_>>().join("/")
}

impl Operation {
    fn call(&self, shop: &TestApp, path: &str) -> Call {
        let address = format!("/{path}");
        match self.method.as_str() {
            "get" => shop.get(&address),
            "post" => shop.post(&address),
            "patch" => shop.patch(&address),
            "put" => shop.put(&address),
            "delete" => shop.delete(&address),
            method => panic!("{}: teach the tests' client the method {method}", self.id),
        }
    }

    /// About things that do not exist, so that nothing can be hurt.
    fn call_for_nothing(&self, shop: &TestApp) -> Call {
        self.call(shop, &fill(&self.path, || Uuid::now_v7().to_string()))
    }

    async fn send(&self, shop: &TestApp, token: Option<&str>, body: Option<&'static str>) -> Answer {
        let mut call = self.call_for_nothing(shop);
        if let Some(token) = token {
            call = call.token(token);
        }
        if let Some(body) = body {
            call = call.raw(body);
        }
        call.send().await
    }

    /// Bodies that no operation accepts. Whoever may not use it must not hear of that.
    fn bad_bodies(&self) -> &'static [Option<&'static str>] {
        if self.has_body { &[None, Some("{}"), Some("nonsense")] } else { &[None] }
    }

    fn plain_body(&self) -> Option<&'static str> {
        self.has_body.then_some("{}")
    }
}

/// What is wrong, so that all of it is told at once.
#[derive(Default)]
struct Faults(Vec<String>);

impl Faults {
    fn note(&mut self, fault: String) {
        self.0.push(fault);
    }

    fn refused(&mut self, id: &str, who: &str, answer: &Answer, status: u16, code: &str) {
        if answer.status != status || answer.body["code"] != code {
            let (was, text) = (answer.status, &answer.text);
            self.note(format!("{id} for {who}: {was} instead of {status} {code}: {text}"));
        }
    }

    fn admitted(&mut self, id: &str, who: &str, answer: &Answer) {
        if matches!(answer.status, 401 | 403) || answer.status >= 500 {
            self.note(format!("{id} for {who}: {}: {}", answer.status, answer.text));
        }
    }

    /// Compares what the document opens with what this file says.
    fn compare(&mut self, found: &BTreeSet<String>, expected: &[&str], list: &str) {
        for id in found.iter().filter(|id| !expected.contains(&id.as_str())) {
            self.note(format!("{id} is open; if it should be, add it to {list}"));
        }
        for id in expected.iter().filter(|id| !found.contains(**id)) {
            self.note(format!("{id} is not open any more; take it off {list}"));
        }
    }

    #[track_caller]
    fn report(self) {
        assert!(self.0.is_empty(), "{} faults:\n{}", self.0.len(), self.0.join("\n"));
    }
}

fn email_of(role: Role) -> String {
    format!("{}@agape.example", role.as_str())
}

async fn sign_in(shop: &TestApp, email: &str, password: &str) -> Answer {
    shop.post("/auth/login").json(&json!({"email": email, "password": password})).send().await
}

/// Signs in and gives the access token and the refresh cookie.
async fn enter(shop: &TestApp, email: &str) -> (String, String) {
    let answer = sign_in(shop, email, PASSWORD).await;
    let cookie = answer.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    (answer.expect(200)["accessToken"].as_str().unwrap().to_owned(), cookie)
}

async fn refresh(shop: &TestApp, cookie: &str) -> Answer {
    shop.post("/auth/refresh").header("cookie", cookie).send().await
}

async fn me(shop: &TestApp, token: &str) -> Answer {
    shop.get("/auth/me").token(token).send().await
}

async fn user_id(shop: &TestApp, token: &str) -> String {
    me(shop, token).await.expect(200)["user"]["id"].as_str().unwrap().to_owned()
}

/// A public operation with a request that deserves an answer. Most refuse an empty object as any other wrong body, but
/// two want a proof of their own in place of a token.
async fn welcome(shop: &TestApp, operation: &Operation) -> Call {
    let call = operation.call_for_nothing(shop);
    match operation.id.as_str() {
        "refresh" => {
            let body = json!({"email": email_of(Role::Customer), "password": PASSWORD});
            let login = shop.post("/auth/login").header("x-token-transport", "body").json(&body);
            let token = login.send().await.expect(200)["refreshToken"].clone();
            call.json(&json!({"refreshToken": token}))
        }
        "receive_paystack_webhook" => {
            let signature = paystack::webhook::sign(b"{}", &PAYSTACK_KEY.into());
            call.header("x-paystack-signature", &signature).raw("{}")
        }
        _ if operation.has_body => call.raw("{}"),
        _ => call,
    }
}

/// The table of permissions is written out here once more, so that nobody changes it by the way.
#[test]
fn the_table_of_permissions_is_the_one_that_was_agreed() {
    assert_eq!(Permission::ALL.len(), TABLE.len());
    for permission in Permission::ALL {
        let name = permission.as_str();
        let (_, roles) = TABLE.iter().find(|(known, _)| *known == name).unwrap_or_else(|| panic!("{name} is new"));
        for role in Role::ALL {
            assert_eq!(permission.allowed_to(role), roles.contains(&role), "{name} for {}", role.as_str());
        }
    }
}

/// Every operation, called by everybody who must not use it, and by those who may.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_route_refuses_whom_it_must() {
    let shop = TestApp::with(|config| config.auth.session_check_seconds = 0).await;
    let mut bad_tokens = vec![("a wrong token".to_owned(), NONSENSE.to_owned())];
    let early = [Role::Customer, Role::Admin];
    for role in early {
        bad_tokens.push((format!("an expired token of {}", role.as_str()), shop.staff(role).await));
    }
    shop.app.clock.advance(TimeDelta::minutes(16));
    for role in early {
        let token = shop.login(&email_of(role)).await;
        shop.post("/auth/logout").token(&token).send().await.expect(200);
        bad_tokens.push((format!("{} after signing out", role.as_str()), token));
    }
    let mut living = Vec::new();
    for role in Role::ALL {
        let token = if early.contains(&role) { shop.login(&email_of(role)).await } else { shop.staff(role).await };
        living.push((role, token));
    }
    let strangers = || {
        let bad = bad_tokens.iter().map(|(who, token)| (who.as_str(), Some(token.as_str())));
        [("nobody", None)].into_iter().chain(bad)
    };
    let customer = living.iter().find(|(role, _)| *role == Role::Customer).map(|(_, token)| token.as_str());

    let mut faults = Faults::default();
    let (mut public, mut optional, mut ids) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for operation in operations() {
        let id = operation.id.as_str();
        if id.is_empty() || !ids.insert(operation.id.clone()) {
            faults.note(format!("{} {} has no name of its own: {id:?}", operation.method, operation.path));
        }
        let is_for_staff = operation.path.starts_with("/api/v1/admin/") || operation.tag.ends_with(", staff");
        if is_for_staff && !matches!(operation.access, Some(Access::Needs(_))) {
            faults.note(format!("{id} is for staff and asks for no permission"));
        }
        match &operation.access {
            None => faults.note(format!("{id} does not say who may use it, or not in a way that is known")),
            Some(Access::Public) => {
                public.insert(operation.id.clone());
                let answer = welcome(&shop, &operation).await.send().await;
                faults.admitted(id, "nobody", &answer);
                let answer = welcome(&shop, &operation).await.token(NONSENSE).send().await;
                faults.admitted(id, "a wrong token, which does not matter here,", &answer);
            }
            Some(Access::Optional) => {
                optional.insert(operation.id.clone());
                for (who, token) in [("nobody", None), ("a customer", customer)] {
                    faults.admitted(id, who, &operation.send(&shop, token, operation.plain_body()).await);
                }
                for (who, token) in strangers().filter(|(_, token)| token.is_some()) {
                    for body in operation.bad_bodies() {
                        let answer = operation.send(&shop, token, *body).await;
                        faults.refused(id, who, &answer, 401, "AUTHENTICATION_ERROR");
                    }
                }
            }
            Some(Access::SignedIn | Access::Needs(_)) => {
                for (who, token) in strangers() {
                    for body in operation.bad_bodies() {
                        let answer = operation.send(&shop, token, *body).await;
                        faults.refused(id, who, &answer, 401, "AUTHENTICATION_ERROR");
                    }
                }
                if operation.method == "get" {
                    let path = fill(&operation.path, || Uuid::now_v7().to_string());
                    let head = shop.http.head(format!("{}{path}", shop.url)).send().await.unwrap();
                    if head.status().as_u16() != 401 {
                        faults.note(format!("HEAD of {id} for nobody: {}", head.status()));
                    }
                }
            }
        }
        match &operation.access {
            // A gate that refuses everybody would not be one.
            Some(Access::SignedIn) => {
                faults.admitted(id, "a customer", &operation.send(&shop, customer, operation.plain_body()).await);
            }
            Some(Access::Needs(name)) => {
                let Some(permission) = Permission::ALL.into_iter().find(|known| known.as_str() == name) else {
                    faults.note(format!("{id} asks for {name}, which is no permission"));
                    continue;
                };
                for (role, token) in &living {
                    if permission.allowed_to(*role) {
                        let answer = operation.send(&shop, Some(token), operation.plain_body()).await;
                        faults.admitted(id, role.as_str(), &answer);
                        continue;
                    }
                    for body in operation.bad_bodies() {
                        let answer = operation.send(&shop, Some(token), *body).await;
                        faults.refused(id, role.as_str(), &answer, 403, "AUTHORIZATION_ERROR");
                    }
                }
            }
            _ => {}
        }
    }
    faults.compare(&public, &PUBLIC, "PUBLIC");
    faults.compare(&optional, &OPTIONAL, "OPTIONAL");
    faults.report();
    let untouched =
        "select count(*) from users where suspended_at is null and erased_at is null and totp_secret is null";
    assert_eq!(shop.database.count(untouched).await, 5);
    for made in ["select count(*) from products", "select count(*) from orders", "select count(*) from user_addresses"]
    {
        assert_eq!(shop.database.count(made).await, 0, "{made}");
    }
}

/// A customer with one of everything.
struct Customer {
    token: String,
    user: String,
    /// A sign-in on another device.
    session: String,
    address: String,
    item: String,
    order: String,
    order_number: String,
    /// One that has been sent, and a line of it.
    sent: String,
    sent_item: String,
    /// One of which something is to be sent back, and the return.
    returned: String,
    back: String,
    payment: String,
    reference: String,
    consent: String,
    wish: String,
    /// For the one variant of the product.
    other_wish: String,
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text")).to_owned()
}

async fn sent_order(shop: &TestApp, staff: &str, token: &str, product: &Product) -> Value {
    let order = shop.paid_order(token, product, 1).await;
    shop.set_status(staff, &order, "shipped").await.expect(200);
    order
}

async fn settle_in(shop: &TestApp, staff: &str, email: &str, product: &Product) -> Customer {
    shop.customer(email).await;
    let token = shop.login(email).await;
    let order = shop.order(&token, product, 1).await;
    let payment = shop.initialize(&token, &order).await;
    let (sent, back) = (sent_order(shop, staff, &token, product).await, sent_order(shop, staff, &token, product).await);
    let wish = json!({"items": [{"itemId": back["items"][0]["id"], "quantity": 1, "reason": "damaged"}]});
    let path = format!("/orders/{}/returns", text(&back["id"]));
    let back = shop.post(&path).token(&token).json(&wish).send().await.expect(201)["order"].clone();
    let sessions = shop.get("/auth/sessions").token(&token).send().await.expect(200)["sessions"].clone();
    let other = sessions.as_array().unwrap().iter().find(|session| session["current"] == false).unwrap().clone();
    let body = json!({"label": format!("Home of {email}"), "address": address()});
    let home = shop.post("/addresses").token(&token).json(&body).send().await.expect(201);
    let body = json!({"variantId": product.variant, "quantity": 1});
    let cart = shop.post("/cart/items").token(&token).json(&body).send().await.expect(200);
    let body = json!({"productId": product.id});
    let wish = shop.post("/wishlist").token(&token).json(&body).send().await.expect(201);
    let body = json!({"productId": product.id, "variantId": product.variant});
    let other_wish = shop.post("/wishlist").token(&token).json(&body).send().await.expect(201);
    let body = json!({"kind": "marketing", "granted": true, "wording": format!("asked of {email}")});
    let consent = shop.post("/privacy/consents").token(&token).json(&body).send().await.expect(201);
    Customer {
        user: user_id(shop, &token).await,
        session: text(&other["id"]),
        address: text(&home["address"]["id"]),
        item: text(&cart["cart"]["items"][0]["id"]),
        order: text(&order["id"]),
        order_number: text(&order["orderNumber"]),
        sent: text(&sent["id"]),
        sent_item: text(&sent["items"][0]["id"]),
        returned: text(&back["id"]),
        back: text(&back["returns"][0]["id"]),
        payment: text(&payment["paymentId"]),
        reference: text(&payment["reference"]),
        consent: text(&consent["consent"]["id"]),
        wish: text(&wish["item"]["wishlistItemId"]),
        other_wish: text(&other_wish["item"]["wishlistItemId"]),
        token,
    }
}

impl Customer {
    /// All that this customer has, as the API and, where it does not show, the database tell.
    async fn belongings(&self, shop: &TestApp) -> Value {
        let [order, sent, returned] = [&self.order, &self.sent, &self.returned].map(|id| format!("/orders/{id}"));
        let mut all = Vec::new();
        let lists = ["/auth/me", "/auth/sessions", "/addresses", "/cart", "/wishlist", "/privacy/consents", "/orders"];
        for path in lists.into_iter().chain([order.as_str(), &sent, &returned]) {
            all.push(shop.get(path).token(&self.token).send().await.expect(200));
        }
        let stored = "select jsonb_build_array(
                        (select jsonb_agg(to_jsonb(p) order by id) from payments p where order_id = $1),
                        (select jsonb_agg(to_jsonb(r) order by variant_id) from reservations r where order_id = $1))";
        let order: Uuid = self.order.parse().unwrap();
        all.push(sqlx::query_scalar(stored).bind(order).fetch_one(&shop.database.pool).await.unwrap());
        Value::Array(all)
    }

    /// What is in this customer's lists and in nobody else's.
    fn marks(&self) -> [&str; 11] {
        [
            &self.user,
            &self.session,
            &self.address,
            &self.item,
            &self.order,
            &self.order_number,
            &self.payment,
            &self.reference,
            &self.consent,
            &self.wish,
            &self.other_wish,
        ]
    }

    /// For each operation about one thing of a person: a request about this customer's thing. They are in an order in
    /// which the owner can send all of them.
    fn cases(&self) -> Vec<Case> {
        let order = json!({"orderId": self.order});
        let wish = json!({"items": [{"itemId": self.sent_item, "quantity": 1, "reason": "damaged"}]});
        vec![
            case("update_address", &[&self.address], Some(json!({"label": "Mine now"}))),
            case("delete_address", &[&self.address], None),
            case("update_cart_item", &[&self.item], Some(json!({"quantity": 2}))),
            case("remove_cart_item", &[&self.item], None),
            case("move_wishlist_item_to_cart", &[&self.wish], Some(json!({}))),
            case("remove_wishlist_item", &[&self.other_wish], None),
            case("get_order", &[&self.order], None),
            case("get_invoice", &[&self.sent], None),
            case("reorder", &[&self.sent], None),
            case("request_return", &[&self.sent], Some(wish)),
            case("withdraw_return", &[&self.returned, &self.back], None),
            case("initialize_payment", &[], Some(order)),
            case("verify_payment", &[&self.payment], None),
            case("verify_payment", &[&self.reference], None),
            case("cancel_order", &[&self.order], Some(json!({"reason": "I am not the buyer"}))),
            case("end_session", &[&self.session], None),
        ]
    }
}

struct Case {
    id: &'static str,
    /// For the path.
    ids: Vec<String>,
    body: Option<Value>,
}

fn case(id: &'static str, ids: &[&str], body: Option<Value>) -> Case {
    Case { id, ids: ids.iter().map(|id| (*id).to_owned()).collect(), body }
}

impl Case {
    async fn send(&self, shop: &TestApp, operation: &Operation, token: Option<&str>) -> Answer {
        let mut ids = self.ids.iter();
        let path = fill(&operation.path, || ids.next().expect("a case needs an id for each place").clone());
        let mut call = operation.call(shop, &path);
        if let Some(token) = token {
            call = call.token(token);
        }
        if let Some(body) = &self.body {
            call = call.json(body);
        }
        call.send().await
    }
}

/// What is another person's is not found, by customers and guests, and by staff but for what they may read. Nothing of
/// it changes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_reaches_what_is_anothers() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let product = shop.product(&admin, "KENTE", 1_000, 50).await;
    let ama = settle_in(&shop, &admin, "ama@example.com", &product).await;
    // He has all of it too, so what he lacks is only the right.
    let kofi = settle_in(&shop, &admin, "kofi@example.com", &product).await;
    let mut staff = vec![("admin", admin)];
    for role in [Role::Merchant, Role::Fulfilment, Role::Finance] {
        staff.push((role.as_str(), shop.staff(role).await));
    }
    // What the jobs write is no change by anybody below.
    shop.wait_for_jobs().await;

    let mut faults = Faults::default();
    let operations = operations();
    let cases = ama.cases();
    for operation in operations.iter().filter(|operation| operation.path.contains('{')) {
        let is_personal = matches!(operation.access, Some(Access::SignedIn | Access::Optional))
            && !ABOUT_NOBODYS.contains(&operation.id.as_str());
        if is_personal && !cases.iter().any(|case| case.id == operation.id) {
            faults.note(format!("{} has no case; add one to Customer::cases", operation.id));
        }
    }
    let before = ama.belongings(&shop).await;
    for case in &cases {
        let Some(operation) = operations.iter().find(|operation| operation.id == case.id) else {
            faults.note(format!("{} is not in the document any more; remove its case", case.id));
            continue;
        };
        if operation.access == Some(Access::Optional) {
            faults.refused(case.id, "nobody", &case.send(&shop, operation, None).await, 404, "NOT_FOUND");
        }
        let answer = case.send(&shop, operation, Some(&kofi.token)).await;
        faults.refused(case.id, "kofi", &answer, 404, "NOT_FOUND");
        for (role, token) in &staff {
            let answer = case.send(&shop, operation, Some(token)).await;
            if STAFF_READS.contains(&case.id) {
                faults.admitted(case.id, role, &answer);
                // An invoice is a file in which the number is compressed.
                let is_file = answer.text.starts_with("%PDF");
                if !is_file && !answer.text.contains(&ama.order_number) {
                    faults.note(format!("{} for {role} does not show it: {}", case.id, answer.text));
                }
            } else {
                faults.refused(case.id, role, &answer, 404, "NOT_FOUND");
            }
        }
        if ama.belongings(&shop).await != before {
            faults.note(format!("{} refused and has changed something nevertheless", case.id));
        }
    }
    lists_show_ones_own(&shop, &operations, &ama, &kofi, &staff, &mut faults).await;
    // The requests were right ones: their owner gets what was refused to all others.
    for case in &cases {
        let Some(operation) = operations.iter().find(|operation| operation.id == case.id) else { continue };
        let answer = case.send(&shop, operation, Some(&ama.token)).await;
        if !matches!(answer.status, 200 | 201) {
            faults.note(format!("{} for its owner: {}: {}", case.id, answer.status, answer.text));
        }
    }
    faults.report();
}

/// Every list without a filter, asked for by everybody: nothing of Ama's is in another person's.
async fn lists_show_ones_own(
    shop: &TestApp,
    operations: &[Operation],
    ama: &Customer,
    kofi: &Customer,
    staff: &[(&'static str, String)],
    faults: &mut Faults,
) {
    let mut amas = String::new();
    let is_list = |operation: &&Operation| {
        let is_personal = matches!(operation.access, Some(Access::SignedIn | Access::Optional));
        operation.method == "get" && is_personal && !operation.path.contains('{')
    };
    for operation in operations.iter().filter(is_list) {
        let own = operation.send(shop, Some(&ama.token), None).await;
        let others = staff.iter().map(|(role, token)| (*role, token)).chain([("kofi", &kofi.token)]);
        for (who, token) in others {
            let answer = operation.send(shop, Some(token), None).await;
            if answer.status != 200 {
                faults.note(format!("{} for {who}: {}: {}", operation.id, answer.status, answer.text));
            }
            for mark in ama.marks() {
                if answer.text.contains(mark) {
                    faults.note(format!("{} shows {mark} of Ama's to {who}: {}", operation.id, answer.text));
                }
            }
        }
        amas.push_str(&own.text);
    }
    // Otherwise their absence elsewhere would say nothing.
    for mark in ama.marks() {
        if !amas.contains(mark) {
            faults.note(format!("{mark} is in none of Ama's own lists"));
        }
    }
    let orders = shop.get("/orders").token(&kofi.token).send().await;
    if orders.body["pagination"]["total"] != 3 {
        faults.note(format!("list_orders counts more than kofi's: {}", orders.text));
    }
}

/// What a guest has is found by whoever knows its secret, and not by being signed in.
#[tokio::test]
async fn nobody_reaches_what_is_a_guests() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let product = shop.product(&admin, "KENTE", 1_000, 50).await;
    let kofi = settle_in(&shop, &admin, "kofi@example.com", &product).await.token;
    let body = json!({
        "email": "guest@example.com",
        "items": [{"variantId": product.variant, "quantity": 1}],
        "shippingAddress": address(),
    });
    let order = shop.post("/orders").json(&body).send().await.expect(201)["order"].clone();
    let body = json!({"variantId": product.variant, "quantity": 1});
    let cart = shop.post("/cart/items").json(&body).send().await.expect(200);
    let secret = text(&cart["cartToken"]);
    let item = format!("/cart/items/{}", text(&cart["cart"]["items"][0]["id"]));
    let path = format!("/orders/{}", text(&order["id"]));
    let cancel = json!({"reason": "I am not the buyer"});
    let pay = json!({"orderId": order["id"]});
    let track = json!({"orderNumber": order["orderNumber"], "email": "kofi@example.com"});
    let more = json!({"quantity": 2});
    let calls = [
        shop.get(&path),
        shop.post(&format!("{path}/cancel")).json(&cancel),
        shop.post("/payments/initialize").json(&pay),
        shop.post("/orders/track").json(&track),
        shop.post("/orders/track/cancel").json(&track),
        shop.get(&format!("{path}/invoice")),
        shop.post("/orders/track/invoice").json(&track),
        shop.patch(&item).json(&more),
        shop.delete(&item),
        // Whoever is signed in has the cart of his account, whatever token he has found.
        shop.patch(&item).header("x-cart-token", &secret).json(&more),
        shop.delete(&item).header("x-cart-token", &secret),
    ];
    for answer in join_all(calls.map(|call| call.token(&kofi).send())).await {
        answer.expect_error(404, "NOT_FOUND");
    }
    shop.post("/payments/initialize").json(&pay).send().await.expect_error(404, "NOT_FOUND");
    shop.delete(&item).send().await.expect_error(404, "NOT_FOUND");
    let status = shop.database.text("select status from orders where user_id is null").await;
    assert_eq!(status.as_deref(), Some("pending_payment"));
    assert_eq!(shop.database.count("select count(*) from payments where user_id is null").await, 0);
    let cart = shop.get("/cart").header("x-cart-token", &secret).send().await.expect(200);
    assert_eq!(cart["cart"]["itemCount"], 1);
}

async fn set_role(shop: &TestApp, token: &str, user: &str, role: &str) -> Answer {
    shop.patch(&format!("/admin/users/{user}/role")).token(token).json(&json!({"role": role})).send().await
}

async fn lock(shop: &TestApp, token: &str, user: &str, reason: &str) -> Answer {
    shop.post(&format!("/admin/users/{user}/lock")).token(token).json(&json!({"reason": reason})).send().await
}

async fn unlock(shop: &TestApp, token: &str, user: &str) -> Answer {
    shop.post(&format!("/admin/users/{user}/unlock")).token(token).send().await
}

/// With his role a person loses his sessions: neither the old token nor the old cookie opens anything.
#[tokio::test]
async fn a_demoted_member_of_the_staff_is_out_at_once() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    shop.staff(Role::Merchant).await;
    let (merchant, cookie) = enter(&shop, &email_of(Role::Merchant)).await;
    let id = user_id(&shop, &merchant).await;
    shop.get("/admin/users").token(&merchant).send().await.expect(200);
    let user = set_role(&shop, &admin, &id, "fulfilment").await.expect(200)["user"].clone();
    assert_eq!((&user["id"], &user["role"]), (&json!(id), &json!("fulfilment")));
    for path in ["/admin/users", "/auth/me", "/cart"] {
        shop.get(path).token(&merchant).send().await.expect_error(401, "AUTHENTICATION_ERROR");
    }
    refresh(&shop, &cookie).await.expect_error(401, "AUTHENTICATION_ERROR");
    let reasons = "select string_agg(distinct revoked_reason, ',') from sessions where revoked_at is not null";
    assert_eq!(shop.database.text(reasons).await.as_deref(), Some("role_changed"));
    // He comes back as what he is now.
    let packer = shop.login(&email_of(Role::Merchant)).await;
    assert_eq!(me(&shop, &packer).await.expect(200)["user"]["role"], "fulfilment");
    shop.get("/admin/users").token(&packer).send().await.expect_error(403, "AUTHORIZATION_ERROR");
    // The role that he has already changes nothing and is no deed.
    set_role(&shop, &admin, &id, "fulfilment").await.expect(200);
    me(&shop, &packer).await.expect(200);
    assert_eq!(shop.database.count("select count(*) from audit_log where action = 'user.set_role'").await, 1);

    // A customer's session was found alive a moment ago, and is over nevertheless.
    let (ama, cookie) = {
        shop.customer("ama@example.com").await;
        enter(&shop, "ama@example.com").await
    };
    let id = user_id(&shop, &ama).await;
    set_role(&shop, &admin, &id, "merchant").await.expect(200);
    me(&shop, &ama).await.expect_error(401, "AUTHENTICATION_ERROR");
    refresh(&shop, &cookie).await.expect_error(401, "AUTHENTICATION_ERROR");
    let ama = shop.login("ama@example.com").await;
    shop.get("/admin/users").token(&ama).send().await.expect(200);
}

/// Nobody does to himself what could leave the shop without an administrator; what is no role or no person is named.
#[tokio::test]
async fn an_administrator_does_not_change_himself() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let id = user_id(&shop, &admin).await;
    for role in ["customer", "merchant", "admin"] {
        set_role(&shop, &admin, &id, role).await.expect_error(409, "CONFLICT");
    }
    lock(&shop, &admin, &id, "a slip").await.expect_error(409, "CONFLICT");
    let second_factor = format!("/admin/users/{id}/2fa");
    shop.delete(&second_factor).token(&admin).send().await.expect_error(409, "CONFLICT");
    let user = me(&shop, &admin).await.expect(200)["user"].clone();
    assert_eq!(user["role"], "admin");
    for role in ["king", "Admin", ""] {
        assert_eq!(set_role(&shop, &admin, &id, role).await.expect_error(400, "VALIDATION_ERROR"), ["role"], "{role}");
    }
    assert_eq!(lock(&shop, &admin, &id, " ").await.expect_error(400, "VALIDATION_ERROR"), ["reason"]);
    let nobody = Uuid::now_v7().to_string();
    set_role(&shop, &admin, &nobody, "customer").await.expect_error(404, "NOT_FOUND");
    lock(&shop, &admin, &nobody, "unknown").await.expect_error(404, "NOT_FOUND");
    unlock(&shop, &admin, &nobody).await.expect_error(404, "NOT_FOUND");
    let noted = "select count(*) from audit_log where action in ('user.set_role', 'user.lock', 'user.unlock')";
    assert_eq!(shop.database.count(noted).await, 0);
}

/// Two administrators who remove each other at the same moment: one wins, and one stays.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_administrators_never_remove_each_other() {
    let shop = TestApp::start().await;
    shop.staff(Role::Admin).await;
    let emails = [email_of(Role::Admin), "second@agape.example".to_owned()];
    let (email, password) = (emails[1].parse().unwrap(), PASSWORD.parse().unwrap());
    auth::create_staff(&shop.app, &email, &password, "Second", Role::Admin).await.unwrap();
    let mut tokens = [shop.login(&emails[0]).await, shop.login(&emails[1]).await];
    let ids = [user_id(&shop, &tokens[0]).await, user_id(&shop, &tokens[1]).await];
    let admins = "select count(*) from users where role = 'admin' and suspended_at is null";
    for round in 0..12 {
        let removals = [0, 1].map(|i| {
            let (token, other) = (tokens[i].as_str(), &ids[1 - i]);
            // One takes the role and the other locks, in every combination.
            let (path, body) = if round >> i & 1 == 0 {
                (format!("/admin/users/{other}/role"), json!({"role": "customer"}))
            } else {
                (format!("/admin/users/{other}/lock"), json!({"reason": "he wants to lock me"}))
            };
            let call = if body["role"].is_null() { shop.post(&path) } else { shop.patch(&path) };
            call.token(token).json(&body).send()
        });
        let answers = join_all(removals).await;
        let statuses = [answers[0].status, answers[1].status];
        let won = statuses.iter().position(|status| *status == 200).unwrap_or_else(|| panic!("{answers:?}"));
        let lost = 1 - won;
        assert!(matches!(statuses[lost], 401 | 403), "round {round}: {answers:?}");
        assert_eq!(shop.database.count(admins).await, 1, "round {round}");
        me(&shop, &tokens[lost]).await.expect_error(401, "AUTHENTICATION_ERROR");
        unlock(&shop, &tokens[won], &ids[lost]).await.expect(200);
        set_role(&shop, &tokens[won], &ids[lost], "admin").await.expect(200);
        tokens[lost] = shop.login(&emails[lost]).await;
    }
}

/// A sign-in or a refresh at the very moment of the demotion gives nothing that outlives it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_token_slips_through_a_demotion() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    shop.staff(Role::Merchant).await;
    let email = email_of(Role::Merchant);
    let id = user_id(&shop, &shop.login(&email).await).await;
    for round in 0..4 {
        let (token, cookie) = enter(&shop, &email).await;
        let logins = (0..3).map(|_| sign_in(&shop, &email, PASSWORD));
        let refreshes = (0..3).map(|_| refresh(&shop, &cookie));
        let (demoted, logins, refreshes) =
            tokio::join!(set_role(&shop, &admin, &id, "customer"), join_all(logins), join_all(refreshes));
        demoted.expect(200);
        let given = logins.iter().chain(&refreshes).filter(|answer| answer.status == 200);
        let given: Vec<String> = given.map(|answer| text(&answer.body["data"]["accessToken"])).collect();
        for answer in logins.iter().chain(&refreshes) {
            assert!(matches!(answer.status, 200 | 401), "round {round}: {answer:?}");
        }
        for token in given.iter().chain([&token]) {
            let answer = shop.get("/admin/users").token(token).send().await;
            // Who came in after it is a customer.
            assert!(matches!(answer.status, 401 | 403), "round {round}: {}", answer.text);
        }
        me(&shop, &token).await.expect_error(401, "AUTHENTICATION_ERROR");
        refresh(&shop, &cookie).await.expect_error(401, "AUTHENTICATION_ERROR");
        set_role(&shop, &admin, &id, "merchant").await.expect(200);
    }
}

/// A locked account loses its sessions and cannot sign in, which looks like a wrong password; unlocking restores it.
#[tokio::test]
async fn a_locked_account_is_out_until_it_is_unlocked() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    shop.customer("ama@example.com").await;
    let (ama, cookie) = enter(&shop, "ama@example.com").await;
    let id = user_id(&shop, &ama).await;
    let plain = |answer: Answer| {
        answer.expect_error(401, "AUTHENTICATION_ERROR");
        let mut body = answer.body;
        body.as_object_mut().unwrap().retain(|key, _| key != "timestamp" && key != "requestId");
        body
    };
    let wrong = plain(sign_in(&shop, "ama@example.com", "Wrong@1234").await);
    let user = lock(&shop, &admin, &id, "chargebacks").await.expect(200)["user"].clone();
    assert_eq!((&user["locked"], &user["lockReason"]), (&json!(true), &json!("chargebacks")));
    for path in ["/auth/me", "/cart", "/orders"] {
        shop.get(path).token(&ama).send().await.expect_error(401, "AUTHENTICATION_ERROR");
    }
    refresh(&shop, &cookie).await.expect_error(401, "AUTHENTICATION_ERROR");
    assert_eq!(plain(sign_in(&shop, "ama@example.com", PASSWORD).await), wrong);
    assert_eq!(plain(sign_in(&shop, "ama@example.com", "Wrong@1234").await), wrong);
    assert_eq!(shop.database.count("select count(*) from sessions where revoked_at is null").await, 1, "the admin's");
    // Time does not end it, and a second reason replaces the first.
    shop.app.clock.advance(TimeDelta::days(1));
    let admin = shop.login(&email_of(Role::Admin)).await;
    assert_eq!(plain(sign_in(&shop, "ama@example.com", PASSWORD).await), wrong);
    let user = lock(&shop, &admin, &id, "more of them").await.expect(200)["user"].clone();
    assert_eq!(user["lockReason"], "more of them");

    let user = unlock(&shop, &admin, &id).await.expect(200)["user"].clone();
    assert_eq!((&user["locked"], &user["lockReason"]), (&json!(false), &Value::Null));
    refresh(&shop, &cookie).await.expect_error(401, "AUTHENTICATION_ERROR");
    shop.login("ama@example.com").await;
    // It ends a lock after wrong passwords too.
    for _ in 0..5 {
        sign_in(&shop, "ama@example.com", "Wrong@1234").await.expect_error(401, "AUTHENTICATION_ERROR");
    }
    assert_eq!(plain(sign_in(&shop, "ama@example.com", PASSWORD).await), wrong);
    let path = format!("/admin/users/{id}");
    let user = shop.get(&path).token(&admin).send().await.expect(200)["user"].clone();
    assert!(user["lockedUntil"].is_string() && user["locked"] == false, "{user}");
    let user = unlock(&shop, &admin, &id).await.expect(200)["user"].clone();
    assert_eq!(user["lockedUntil"], Value::Null);
    shop.login("ama@example.com").await;
}

async fn register(shop: &TestApp, email: &str, name: &str, phone: Option<&str>) -> String {
    let body = json!({"email": email, "password": PASSWORD, "name": name, "phone": phone});
    text(&shop.post("/auth/register").json(&body).send().await.expect(201)["accessToken"])
}

async fn turn_on_two_factor(shop: &TestApp, token: &str) {
    let body = json!({"password": PASSWORD});
    let setup = shop.post("/auth/2fa/setup").token(token).json(&body).send().await.expect(200);
    let code = auth::current_code(&text(&setup["secret"]), shop.app.clock.now()).unwrap();
    shop.post("/auth/2fa/enable").token(token).json(&json!({"code": code})).send().await.expect(200);
}

fn list_users(shop: &TestApp, token: &str, query: &[(&str, &str)]) -> Call {
    let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish();
    shop.get(&format!("/admin/users?{query}")).token(token)
}

/// The names before the @ of the accounts that a question finds.
async fn found(shop: &TestApp, token: &str, query: &[(&str, &str)]) -> Vec<String> {
    let answer = list_users(shop, token, query).send().await;
    assert_eq!(answer.status, 200, "{query:?}: {}", answer.text);
    let users = answer.body["data"]["users"].as_array().unwrap();
    assert_eq!(answer.body["pagination"]["total"], users.len(), "{query:?}: {}", answer.text);
    users.iter().map(|user| text(&user["email"]).split('@').next().unwrap().to_owned()).collect()
}

/// Accounts are found by what staff know of a person, page by page, the newest first.
#[tokio::test]
async fn staff_endpoints_of_accounts() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let merchant = shop.staff(Role::Merchant).await;
    register(&shop, "ama@example.com", "Adébáyò Òkè", Some("08031234567")).await;
    let kofi = register(&shop, "kofi@example.com", "Kofi Mensah", Some("+233 24 123 4567")).await;
    let odd = register(&shop, "odd@example.com", "50% Off_Shop", None).await;
    register(&shop, "even@example.com", "50x OffxShop", None).await;
    turn_on_two_factor(&shop, &kofi).await;
    let odd = user_id(&shop, &odd).await;
    lock(&shop, &admin, &odd, "no such name").await.expect(200);

    let everybody = ["even", "odd", "kofi", "ama", "merchant", "admin"];
    for (query, expected) in [
        (&[][..], &everybody[..]),
        (&[("role", "")], &everybody),
        (&[("search", " ")], &everybody),
        (&[("role", "customer")], &["even", "odd", "kofi", "ama"]),
        (&[("role", "merchant")], &["merchant"]),
        (&[("role", "finance")], &[]),
        (&[("verified", "true")], &["merchant", "admin"]),
        (&[("verified", "false")], &["even", "odd", "kofi", "ama"]),
        (&[("locked", "true")], &["odd"]),
        (&[("locked", "false")], &["even", "kofi", "ama", "merchant", "admin"]),
        (&[("twoFactor", "true")], &["kofi"]),
        (&[("twoFactor", "false")], &["even", "odd", "ama", "merchant", "admin"]),
        (&[("role", "customer"), ("twoFactor", "false"), ("locked", "false")], &["even", "ama"]),
        (&[("role", "admin"), ("search", "kofi")], &[]),
        // A part of the name, with and without its accents.
        (&[("search", "debayo")], &["ama"]),
        (&[("search", "ADÉBÁYÒ")], &["ama"]),
        (&[("search", "bayo ok")], &["ama"]),
        (&[("search", "mensah")], &["kofi"]),
        // Of the address.
        (&[("search", "Kofi@Ex")], &["kofi"]),
        (&[("search", "@example.com")], &["even", "odd", "kofi", "ama"]),
        // Of the number.
        (&[("search", "803123")], &["ama"]),
        (&[("search", "+23324")], &["kofi"]),
        (&[("search", "nobody")], &[]),
        // What stands for anything in a pattern stands for itself here.
        (&[("search", "50")], &["even", "odd"]),
        (&[("search", "50%")], &["odd"]),
        (&[("search", "%")], &["odd"]),
        (&[("search", "off_shop")], &["odd"]),
        (&[("search", "_")], &["odd"]),
        (&[("search", "\\")], &[]),
    ] {
        assert_eq!(found(&shop, &merchant, query).await, expected, "{query:?}");
    }
    for (name, value) in [
        ("role", "king"),
        ("role", "Admin"),
        ("verified", "maybe"),
        ("locked", "1"),
        ("twoFactor", "yes"),
        ("search", &"x".repeat(101)),
        ("page", "0"),
        ("limit", "101"),
        ("limit", "x"),
    ] {
        let answer = list_users(&shop, &merchant, &[(name, value)]).send().await;
        assert_eq!(answer.expect_error(400, "VALIDATION_ERROR"), [name], "{value}");
    }
    for (page, expected) in [("1", &everybody[..4]), ("2", &everybody[4..]), ("3", &[])] {
        let answer = list_users(&shop, &merchant, &[("limit", "4"), ("page", page)]).send().await;
        let number: i64 = page.parse().unwrap();
        let pagination = json!({"page": number, "limit": 4, "total": 6, "totalPages": 2});
        assert_eq!(answer.body["pagination"], pagination, "{}", answer.text);
        let emails: Vec<String> =
            answer.expect(200)["users"].as_array().unwrap().iter().map(|user| text(&user["email"])).collect();
        let names: Vec<&str> = emails.iter().map(|email| email.split('@').next().unwrap()).collect();
        assert_eq!(names, expected, "page {page}");
    }
    staff_sees_an_account(&shop, &merchant, &odd).await;
}

/// One account in full: what staff need, and none of its secrets.
async fn staff_sees_an_account(shop: &TestApp, token: &str, id: &str) {
    let answer = shop.get(&format!("/admin/users/{id}")).token(token).send().await;
    for secret in ["argon2", "password", "secret"] {
        assert!(!answer.text.contains(secret), "{secret}: {}", answer.text);
    }
    let user = answer.expect(200)["user"].clone();
    for (field, value) in [
        ("id", json!(id)),
        ("email", json!("odd@example.com")),
        ("name", json!("50% Off_Shop")),
        ("phone", Value::Null),
        ("role", json!("customer")),
        ("verified", json!(false)),
        ("twoFactorEnabled", json!(false)),
        ("locked", json!(true)),
        ("lockReason", json!("no such name")),
        ("lockedUntil", Value::Null),
        ("erasedAt", Value::Null),
    ] {
        assert_eq!(user[field], value, "{field}: {user}");
    }
    assert!(user["createdAt"].is_string() && user["lastSeenAt"].is_string(), "{user}");
    let nobody = Uuid::now_v7();
    for path in [format!("/admin/users/{nobody}"), format!("/admin/users/{nobody}/sessions")] {
        shop.get(&path).token(token).send().await.expect_error(404, "NOT_FOUND");
    }
    let answer = shop.get("/admin/users/nonsense").token(token).send().await;
    assert_eq!(answer.expect_error(400, "VALIDATION_ERROR"), ["id"]);
}

/// The session of a token.
async fn session_of(shop: &TestApp, token: &str) -> String {
    let sessions = shop.get("/auth/sessions").token(token).send().await.expect(200)["sessions"].clone();
    text(&sessions.as_array().unwrap().iter().find(|session| session["current"] == true).unwrap()["id"])
}

/// Sessions are ended one by one or all at once. That, and all else that staff do to an account, is on record with its
/// actor; what was refused is not.
#[tokio::test]
async fn what_staff_do_to_an_account_is_on_record() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let actor = user_id(&shop, &admin).await;
    let ama = shop.customer("ama@example.com").await;
    let amas = session_of(&shop, &ama).await;
    let first = shop.customer("kofi@example.com").await;
    let (second, third) = (shop.login("kofi@example.com").await, shop.login("kofi@example.com").await);
    let id = user_id(&shop, &first).await;
    let path = format!("/admin/users/{id}/sessions");
    let list = async || shop.get(&path).token(&admin).send().await.expect(200)["sessions"].as_array().unwrap().clone();
    let end = async |path: &str| shop.delete(path).token(&admin).send().await;

    let (sessions, ended) = (list().await, session_of(&shop, &second).await);
    assert_eq!(sessions.len(), 3);
    assert!(sessions.iter().all(|session| session["current"] == false && session["ip"] == "127.0.0.1"), "{sessions:?}");
    let one = format!("{path}/{ended}");
    assert_eq!(end(&one).await.expect(200)["ended"], 1);
    me(&shop, &second).await.expect_error(401, "AUTHENTICATION_ERROR");
    me(&shop, &first).await.expect(200);
    end(&one).await.expect_error(404, "NOT_FOUND");
    // The account in the path counts, not the session alone.
    end(&format!("{path}/{amas}")).await.expect_error(404, "NOT_FOUND");
    me(&shop, &ama).await.expect(200);
    assert_eq!(end(&path).await.expect(200)["ended"], 2);
    for token in [&first, &third] {
        me(&shop, token).await.expect_error(401, "AUTHENTICATION_ERROR");
    }
    assert!(list().await.is_empty());
    assert_eq!(end(&path).await.expect(200)["ended"], 0);
    me(&shop, &ama).await.expect(200);
    let nobody = Uuid::now_v7();
    for path in [format!("/admin/users/{nobody}/sessions"), format!("/admin/users/{nobody}/sessions/{amas}")] {
        end(&path).await.expect_error(404, "NOT_FOUND");
    }

    let fourth = shop.login("kofi@example.com").await;
    turn_on_two_factor(&shop, &fourth).await;
    let second_factor = format!("/admin/users/{id}/2fa");
    end(&second_factor).await.expect(200);
    me(&shop, &fourth).await.expect_error(401, "AUTHENTICATION_ERROR");
    end(&second_factor).await.expect_error(409, "CONFLICT");
    // No code is asked for any more.
    shop.login("kofi@example.com").await;
    set_role(&shop, &admin, &id, "fulfilment").await.expect(200);
    lock(&shop, &admin, &id, "left the shop").await.expect(200);
    unlock(&shop, &admin, &id).await.expect(200);

    let sql = "select jsonb_agg(jsonb_build_array(l.action, l.actor_role, c.content, o.content->>'ip') order by l.seq)
               from audit_log l
               left join audit_parts c on c.entry_id = l.id and c.part = 'change'
               left join audit_parts o on o.entry_id = l.id and o.part = 'origin'
               where l.entity = 'user' and l.entity_id = $1 and l.actor_id = $2";
    let actor_id: Uuid = actor.parse().unwrap();
    let entries: Value = sqlx::query_scalar(sql).bind(&id).bind(actor_id).fetch_one(&shop.database.pool).await.unwrap();
    let entry = |action: &str, change: Value| json!([action, "admin", change, "127.0.0.1"]);
    let all = sessions.iter().map(|session| session["id"].clone()).filter(|session| *session != json!(ended));
    let left = entries[1][2]["after"]["sessions"].as_array().unwrap().clone();
    assert_eq!(left.iter().map(text).collect::<BTreeSet<_>>(), all.map(|id| text(&id)).collect(), "{entries}");
    let at = entries[5][2]["after"]["suspendedAt"].clone();
    assert!(at.is_string(), "{entries:#}");
    let open = json!({"suspendedAt": null, "reason": null, "lockedUntil": null});
    let locked = json!({"suspendedAt": at, "reason": "left the shop", "lockedUntil": null});
    let expected = json!([
        entry("session.revoke", json!({"before": null, "after": {"sessions": [ended]}})),
        entry("session.revoke", json!({"before": null, "after": {"sessions": left}})),
        entry("session.revoke", json!({"before": null, "after": {"sessions": []}})),
        entry("user.two_factor_reset", json!({"before": {"twoFactor": true}, "after": {"twoFactor": false}})),
        entry("user.set_role", json!({"before": {"role": "customer"}, "after": {"role": "fulfilment"}})),
        entry("user.lock", json!({"before": open, "after": locked})),
        entry("user.unlock", json!({"before": locked, "after": open})),
    ]);
    assert_eq!(entries, expected);
    let log = shop.get(&format!("/admin/audit?actor={actor}&entity=user&entityId={id}")).token(&admin).send().await;
    assert_eq!(log.body["pagination"]["total"], 7, "{}", log.text);
    let newest = &log.body["data"]["entries"][0];
    assert_eq!((&newest["action"], &newest["actorId"]), (&json!("user.unlock"), &json!(actor)));
    let chain = shop.get("/admin/audit/check").token(&admin).send().await.expect(200);
    assert_eq!(chain["intact"], true, "{chain}");
}

/// A number is found as it is dialled, an address with accents by itself, and signs that mean something to a pattern mean
/// themselves, however they are written.
#[tokio::test]
async fn accounts_are_found_as_people_write() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    for (email, name, phone) in [
        ("a\u{e9}sop@example.com", "A\u{e9}sop", "0803 123 4567"),
        ("100%_sure@example.com", "Sure", "024 123 4567"),
        ("kofi@example.com", "Kofi", "0803 999 0000"),
    ] {
        let body = json!({"email": email, "password": PASSWORD, "name": name, "phone": phone});
        shop.post("/auth/register").json(&body).send().await.expect(201);
    }
    let found = async |search: &str| {
        let query: String = url::form_urlencoded::byte_serialize(search.as_bytes()).collect();
        let path = format!("/admin/users?search={query}");
        let data = shop.get(&path).token(&admin).send().await.expect(200);
        let mut emails: Vec<String> =
            data["users"].as_array().unwrap().iter().map(|user| user["email"].as_str().unwrap().to_owned()).collect();
        emails.sort();
        emails
    };
    for (search, email) in [
        ("08031234567", "a\u{e9}sop@example.com"),
        ("0803 123", "a\u{e9}sop@example.com"),
        ("+234 803 123", "a\u{e9}sop@example.com"),
        ("a\u{e9}sop@", "a\u{e9}sop@example.com"),
        ("AESOP", "a\u{e9}sop@example.com"),
        ("024123", "100%_sure@example.com"),
        ("100%", "100%_sure@example.com"),
        ("%_", "100%_sure@example.com"),
    ] {
        assert_eq!(found(search).await, [email], "{search}");
    }
    for search in ["\u{ff05}kofi", "k_fi", "k%i", "\\"] {
        assert!(found(search).await.is_empty(), "{search}");
    }
}
