//! What tests need to exist.

use agape::features::auth::{self, Role};
use serde_json::{Value, json};

use super::{PAYSTACK_KEY, TestApp};

/// A product with one variant.
#[derive(Clone, Debug)]
pub struct Product {
    pub id: String,
    pub slug: String,
    pub variant: String,
}

pub const PASSWORD: &str = "Test@1234";

impl TestApp {
    /// Registers a customer and gives the access token.
    pub async fn customer(&self, email: &str) -> String {
        let body = json!({"email": email, "password": PASSWORD, "name": "Ama Mensah"});
        let data = self.post("/auth/register").json(&body).send().await.expect(201);
        data["accessToken"].as_str().unwrap().to_owned()
    }

    /// Makes an account for a member of the staff and gives the access token.
    pub async fn staff(&self, role: Role) -> String {
        let email = format!("{}@agape.example", role.as_str());
        auth::create_staff(&self.app, &email.parse().unwrap(), &PASSWORD.parse().unwrap(), "Staff", role)
            .await
            .unwrap();
        self.login(&email).await
    }

    pub async fn login(&self, email: &str) -> String {
        let body = json!({"email": email, "password": PASSWORD});
        self.post("/auth/login").json(&body).send().await.expect(200)["accessToken"].as_str().unwrap().to_owned()
    }

    /// Creates a product with one variant. `price` is in main units.
    pub async fn product(&self, staff: &str, sku: &str, price: i64, stock: i64) -> Product {
        let body = json!({"sku": sku, "title": format!("Kente {sku}"), "price": price, "inventory": stock});
        let data = self.post("/products").token(staff).json(&body).send().await.expect(201);
        let product = &data["product"];
        Product {
            id: product["id"].as_str().unwrap().to_owned(),
            slug: product["slug"].as_str().unwrap().to_owned(),
            variant: product["variants"][0]["id"].as_str().unwrap().to_owned(),
        }
    }

    /// What is available of a product.
    pub async fn available(&self, product: &Product) -> i64 {
        let data = self.get(&format!("/products/{}", product.id)).send().await.expect(200);
        data["product"]["inventory"].as_i64().unwrap()
    }

    /// Orders one product directly. Gives the order.
    pub async fn order(&self, token: &str, product: &Product, quantity: i64) -> Value {
        let body = json!({
            "items": [{"variantId": product.variant, "quantity": quantity}],
            "shippingAddress": address(),
        });
        self.post("/orders").token(token).json(&body).send().await.expect(201)["order"].clone()
    }

    /// Orders one piece, to be paid in this way and sent by the standard way.
    pub async fn order_paid_by(&self, token: &str, product: &Product, method: &str) -> super::Answer {
        let body = json!({
            "items": [{"variantId": product.variant, "quantity": 1}],
            "shippingAddress": address(),
            "paymentMethod": method,
        });
        self.post("/orders").token(token).json(&body).send().await
    }

    /// Lets a paid order wait for the staff, as the rules against fraud do. Gives the id of its review.
    pub async fn hold(&self, order: &Value) -> String {
        let id: uuid::Uuid = order["id"].as_str().unwrap().parse().unwrap();
        let mut tx = self.database.pool.begin().await.unwrap();
        let held = "update payment_reviews set status = 'pending', score = 60 where order_id = $1 returning payment_id";
        let review: uuid::Uuid = sqlx::query_scalar(held).bind(id).fetch_one(&mut *tx).await.unwrap();
        sqlx::query("update orders set on_review = true where id = $1").bind(id).execute(&mut *tx).await.unwrap();
        tx.commit().await.unwrap();
        review.to_string()
    }

    /// Opens the payment page of an order. Gives `{paymentId, authorizationUrl, accessCode, reference}`.
    pub async fn initialize(&self, token: &str, order: &Value) -> Value {
        let body = json!({"orderId": order["id"]});
        self.post("/payments/initialize").token(token).json(&body).send().await.expect(200)
    }

    /// Presses "pay" on the payment page.
    pub async fn pay(&self, payment: &Value) {
        let page = payment["authorizationUrl"].as_str().unwrap();
        let answer = self.post(page).form("action=pay&card=success").send().await;
        assert_eq!(answer.status, 303, "{}", answer.text);
    }

    /// Presses "pay" on the payment page, and the provider tells nobody. Its other faults are over then.
    pub async fn pay_in_silence(&self, payment: &Value) {
        self.sandbox_faults(&json!({"webhook": "none"})).await;
        self.pay(payment).await;
        self.sandbox_faults(&json!({})).await;
    }

    /// Waits until an order has a status, and gives it with its timeline.
    pub async fn wait_for_status(&self, token: &str, order: &Value, status: &str) -> Value {
        let path = format!("/orders/{}", order["id"].as_str().unwrap());
        self.wait_for(&format!("the order to be {status}"), || async {
            let order = self.get(&path).token(token).send().await.expect(200)["order"].clone();
            (order["status"] == status).then_some(order)
        })
        .await
    }

    /// Orders one product and pays. Gives the order with its timeline.
    pub async fn paid_order(&self, token: &str, product: &Product, quantity: i64) -> Value {
        let order = self.order(token, product, quantity).await;
        self.pay(&self.initialize(token, &order).await).await;
        self.wait_for_status(token, &order, "paid").await
    }

    /// Waits until the money of an order is here, whoever's it is.
    pub async fn wait_for_paid(&self, order: &Value) {
        let id: uuid::Uuid = order["id"].as_str().unwrap().parse().unwrap();
        self.wait_for("the money", || async {
            let paid = sqlx::query_scalar("select paid_at is not null from orders where id = $1").bind(id);
            let is_paid: bool = paid.fetch_one(&self.database.pool).await.unwrap();
            is_paid.then_some(())
        })
        .await;
    }

    /// Sets the status of an order as staff.
    pub async fn set_status(&self, staff: &str, order: &Value, status: &str) -> super::Answer {
        let path = format!("/admin/orders/{}/status", order["id"].as_str().unwrap());
        self.patch(&path).token(staff).json(&json!({"status": status})).send().await
    }

    /// Gives an order a status past the rules.
    pub async fn force_status(&self, order: &Value, status: &str) {
        let id: uuid::Uuid = order["id"].as_str().unwrap().parse().unwrap();
        let mut tx = self.database.pool.begin().await.unwrap();
        for sql in [
            "alter table orders disable trigger user",
            "update orders set status = $2, expires_at = null where id = $1",
            "alter table orders enable trigger user",
        ] {
            let query = sqlx::query(sql);
            let query = if sql.contains('$') { query.bind(id).bind(status) } else { query };
            query.execute(&mut *tx).await.unwrap();
        }
        tx.commit().await.unwrap();
    }

    /// Delivers a webhook, signed with `key`.
    pub async fn deliver(&self, body: &Value, key: &str) -> super::Answer {
        let bytes = serde_json::to_vec(body).unwrap();
        let signature = paystack::webhook::sign(&bytes, &key.into());
        self.post("/webhooks/paystack").header("x-paystack-signature", &signature).raw(bytes).send().await
    }

    /// Sets the sandbox's faults.
    pub async fn sandbox_faults(&self, faults: &Value) {
        let answer = self.post("//sandbox/paystack/_control/faults").token(PAYSTACK_KEY).json(faults).send().await;
        assert!((200..300).contains(&answer.status), "{}", answer.text);
    }
}

/// A charge as Paystack reports it. `amount` is in minor units.
pub fn charge_success(reference: &str, amount: i64, id: i64) -> Value {
    json!({
        "event": "charge.success",
        "data": {
            "id": id, "domain": "test", "status": "success", "reference": reference, "amount": amount,
            "gateway_response": "Approved", "paid_at": "2026-11-22T10:00:00.000Z",
            "created_at": "2026-11-22T09:59:00.000Z", "channel": "card", "currency": "NGN", "metadata": 0,
            "fees": null, "customer": {"email": "ama@example.com"},
            "authorization": {"authorization_code": "AUTH_x", "last4": "4081", "brand": "visa", "card_type": "visa "}
        }
    })
}

/// An address that the shop accepts.
pub fn address() -> Value {
    json!({
        "firstName": "Ama", "lastName": "Mensah", "phone": "08031234567", "addressLine1": "1 Broad Street",
        "city": "Lagos", "region": "Lagos", "country": "NG"
    })
}
