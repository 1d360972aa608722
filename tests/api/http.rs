//! HTTP as every route speaks it: errors, request ids, headers, compression, health, the documents.

use agape::features::auth::Role;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::TestApp;

/// A body that is not JSON, or not the JSON of this route, is refused in the one shape.
#[tokio::test]
async fn broken_bodies_are_refused_in_the_one_shape() {
    let shop = TestApp::start().await;
    for body in
        ["", " ", "{", "nonsense", "{\"email\":}", "[]", "null", "5", "\"text\"", "{} {}", "\u{0}", "\u{feff}{}"]
    {
        let answer = shop.post("/auth/login").raw(body).send().await;
        answer.expect_error(400, "VALIDATION_ERROR");
    }
    let answer = shop.post("/auth/login").send().await;
    assert_eq!(answer.expect_error(415, "UNSUPPORTED_MEDIA_TYPE"), [""; 0]);
    let answer = shop.post("/auth/login").form("email=a%40b.example&password=x").send().await;
    answer.expect_error(415, "UNSUPPORTED_MEDIA_TYPE");
    let deep = format!("{{\"metadata\":{}{}}}", "[".repeat(5_000), "]".repeat(5_000));
    shop.post("/auth/login").raw(deep).send().await.expect_error(400, "VALIDATION_ERROR");
    shop.post("/auth/login").raw(vec![0xff, 0xfe, 0x7b]).send().await.expect_error(400, "VALIDATION_ERROR");
}

/// Every wrong field is listed at once with its path, and so is every unknown one; nothing is stored.
#[tokio::test]
async fn every_wrong_field_is_listed_at_once() {
    let shop = TestApp::start().await;
    let body = json!({"email": "ama", "password": "short", "name": 5, "role": "admin", "phone": "12"});
    let answer = shop.post("/auth/register").json(&body).send().await;
    let mut fields = answer.expect_error(400, "VALIDATION_ERROR");
    fields.sort();
    assert_eq!(fields, ["email", "name", "password", "phone", "role"]);

    let admin = shop.staff(Role::Admin).await;
    let body = json!({
        "sku": "", "title": "Kente", "price": -1, "colour": "red",
        "images": [{"url": "/media/a.png"}, {"url": 5}],
        "variants": [{"sku": "A", "options": [{"name": "Size", "value": 1}], "stock": 3}],
    });
    let answer = shop.post("/products").token(&admin).json(&body).send().await;
    let mut fields = answer.expect_error(400, "VALIDATION_ERROR");
    fields.sort();
    assert_eq!(
        fields,
        ["colour", "images[1].url", "price", "sku", "variants[0].options[0].value", "variants[0].stock"]
    );
    assert_eq!(shop.database.count("select count(*) from products").await, 0);
}

/// A NUL, which PostgreSQL cannot hold, is refused with the field's name wherever it comes, and never answers 500.
#[tokio::test]
async fn a_nul_character_is_refused_everywhere() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    for path in [
        "/products/%00",
        "/products?search=%00",
        "/products?category=a%00",
        "/products?tags=%00",
        "/products?colors=%00",
        "/products/search?q=kente%00",
        "//payments/callback?reference=%00",
        "//verify-email?token=%00",
        "//media/demo/%00.png",
    ] {
        let answer = shop.get(path).send().await;
        assert!((400..500).contains(&answer.status), "{path}: {}", answer.text);
    }
    let body = json!({
        "sku": "NUL", "title": "Kente", "price": 1, "metadata": {"a": ["x", "\u{0}"]}, "fullStory": "a\u{0}b",
        "dimensions": {"unit": "\u{0}"},
    });
    let answer = shop.post("/products").token(&admin).json(&body).send().await;
    let mut fields = answer.expect_error(400, "VALIDATION_ERROR");
    fields.sort();
    assert_eq!(fields, ["dimensions.unit", "fullStory", "metadata.a[1]"]);
    let body = json!({"email": "a\u{0}@b.example", "password": "\u{0}"});
    shop.post("/auth/login").json(&body).send().await.expect_error(400, "VALIDATION_ERROR");
    // Two backslashes are a text about NUL, not one.
    let body = json!({"sku": "NUL", "title": "Kente \\u0000", "price": 1});
    shop.post("/products").token(&admin).json(&body).send().await.expect(201);
}

/// Unknown addresses, wrong methods and paths that are not UTF-8 have the shape of all errors.
#[tokio::test]
async fn wrong_addresses_and_methods_are_refused_in_the_one_shape() {
    let shop = TestApp::start().await;
    for path in ["/nothing", "//nothing", "//api", "//api/v1", "//api/v2/products", "/products/a/b", "//media/nothing"]
    {
        shop.get(path).send().await.expect_error(404, "NOT_FOUND");
    }
    let answer = shop.patch("/products").json(&json!({})).send().await;
    answer.expect_error(405, "NOT_FOUND");
    let mut allowed: Vec<_> = answer.header("allow").unwrap().split(',').map(|m| m.trim().to_owned()).collect();
    allowed.sort();
    assert_eq!(allowed, ["GET", "HEAD", "POST"]);
    shop.delete("//healthz").send().await.expect_error(405, "NOT_FOUND");
    let answer = shop.get("/products/%FF").send().await;
    assert!(matches!(answer.status, 400 | 404), "{}", answer.text);
    assert_eq!(answer.body["status"], "error", "{}", answer.text);
    let answer = shop.post("//verify-email").json(&json!({"token": "x"})).send().await;
    answer.expect_error(415, "UNSUPPORTED_MEDIA_TYPE");
}

/// Ids in paths and values in queries are refused by name.
#[tokio::test]
async fn wrong_ids_and_query_values_are_named() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let answer = shop.patch("/products/not-an-id").token(&admin).json(&json!({"version": 1})).send().await;
    assert_eq!(answer.expect_error(400, "VALIDATION_ERROR"), ["id"]);
    let nobody = "00000000-0000-7000-8000-000000000000";
    let answer = shop.patch(&format!("/products/{nobody}")).token(&admin).json(&json!({"version": 1})).send().await;
    answer.expect_error(404, "NOT_FOUND");
    let query = "minPrice=-1&maxPrice=1.005&inStock=maybe&isFeatured=1&page=x&limit=1.5&sortBy=colour&sortOrder=up";
    let answer = shop.get(&format!("/products?{query}")).send().await;
    let mut fields = answer.expect_error(400, "VALIDATION_ERROR");
    fields.sort();
    assert_eq!(fields, ["inStock", "isFeatured", "limit", "maxPrice", "minPrice", "page", "sortBy", "sortOrder"]);
    for (query, field) in [("page=0", "page"), ("page=1000001", "page"), ("limit=0", "limit"), ("limit=101", "limit")] {
        let answer = shop.get(&format!("/products?{query}")).send().await;
        assert_eq!(answer.expect_error(400, "VALIDATION_ERROR"), [field]);
        let answer = shop.get(&format!("/products/search?q=kente&{query}")).send().await;
        assert_eq!(answer.expect_error(400, "VALIDATION_ERROR"), [field]);
    }
    for value in ["x", "", "1.5", "99999999999999999999"] {
        let answer = shop.get(&format!("/products/search?q=kente&page={value}")).send().await;
        assert_eq!(answer.expect_error(400, "VALIDATION_ERROR"), ["page"], "{value}");
        assert_eq!(answer.body["details"][0]["message"], "must be a whole number", "{value}");
    }
}

/// A body over the limit is refused by its size, for JSON bodies and for others.
#[tokio::test]
async fn a_body_over_the_limit_is_refused() {
    let shop = TestApp::with(|config| config.server.body_limit_bytes = 2_000).await;
    for path in ["/auth/login", "/auth/refresh", "/webhooks/paystack", "//verify-email"] {
        let call = shop.post(path);
        let answer = match path {
            "//verify-email" => call.header("content-type", "application/x-www-form-urlencoded").raw(vec![b'a'; 2_001]),
            _ => call.raw(vec![b' '; 2_001]),
        };
        let answer = answer.send().await;
        answer.expect_error(413, "PAYLOAD_TOO_LARGE");
        assert!(answer.body["message"].as_str().unwrap().contains("2000 bytes"), "{path}: {}", answer.text);
    }
    let body = json!({"email": "a@b.example", "password": "x".repeat(900)});
    shop.post("/auth/login").json(&body).send().await.expect_error(401, "AUTHENTICATION_ERROR");
}

/// A request id is taken, returned and told in errors; nonsense is replaced by a fresh one.
#[tokio::test]
async fn a_request_id_is_taken_or_made() {
    let shop = TestApp::start().await;
    let answer = shop.get("/nothing").header("x-request-id", "0b1c-A_9.z:7").send().await;
    assert_eq!(answer.header("x-request-id").as_deref(), Some("0b1c-A_9.z:7"));
    answer.expect_error(404, "NOT_FOUND");
    let made = shop.get("//healthz").send().await.header("x-request-id").unwrap();
    made.parse::<uuid::Uuid>().unwrap();
    for nonsense in ["", "a b", "<script>", &"x".repeat(129)] {
        let id = shop.get("//healthz").header("x-request-id", nonsense).send().await.header("x-request-id").unwrap();
        id.parse::<uuid::Uuid>().unwrap();
    }
    let ama = json!({"email": "ama@example.com", "password": "Test@1234", "name": "Ama"});
    shop.post("/auth/register").header("x-request-id", "from-the-shop").json(&ama).send().await.expect(201);
    let stored = shop.database.text("select request_id from audit_log where action = 'user.register'").await;
    assert_eq!(stored.as_deref(), Some("from-the-shop"));
}

/// Answers, errors, pages and documents all carry the security headers.
#[tokio::test]
async fn every_answer_has_the_security_headers() {
    let shop = TestApp::start().await;
    for path in
        ["/products", "/nothing", "//", "//docs/", "//openapi.json", "//dev/mail", "//healthz", "//verify-email"]
    {
        let answer = shop.get(path).send().await;
        assert_eq!(answer.header("x-content-type-options").as_deref(), Some("nosniff"), "{path}");
        assert_eq!(answer.header("x-frame-options").as_deref(), Some("DENY"), "{path}");
        for name in ["referrer-policy", "permissions-policy"] {
            assert!(answer.header(name).is_some(), "{path}: {name}");
        }
        let policy = answer.header("content-security-policy").unwrap();
        let docs = matches!(path, "//docs/" | "//openapi.json");
        assert!(policy.contains("default-src 'none'") || docs, "{path}: {policy}");
        assert!(!policy.contains("script-src") && !policy.contains("unsafe-eval"), "{path}: {policy}");
        assert!(policy.contains("frame-ancestors 'none'"), "{path}: {policy}");
        assert_eq!(answer.header("strict-transport-security"), None, "{path}: only production demands HTTPS");
    }
}

/// Only allowed origins may call from a browser with credentials.
#[tokio::test]
async fn only_allowed_origins_may_call_from_a_browser() {
    let shop = TestApp::start().await;
    let preflight = |origin: &'static str| {
        let request = shop.http.request(Method::OPTIONS, format!("{}/api/v1/orders", shop.url));
        request
            .header("origin", origin)
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "content-type,authorization,x-request-id,idempotency-key")
            .send()
    };
    let answer = preflight("http://localhost:3000").await.unwrap();
    assert_eq!(answer.status(), 200);
    let header = |name: &str| answer.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
    assert_eq!(header("access-control-allow-origin").as_deref(), Some("http://localhost:3000"));
    assert_eq!(header("access-control-allow-credentials").as_deref(), Some("true"));
    assert!(header("access-control-allow-methods").unwrap().contains("POST"));
    let allowed = header("access-control-allow-headers").unwrap();
    for name in ["content-type", "authorization", "x-request-id", "idempotency-key", "x-cart-token"] {
        assert!(allowed.contains(name), "{name}: {allowed}");
    }
    assert!(header("vary").unwrap().contains("origin"));
    for origin in ["http://evil.example", "http://localhost:3001", "https://localhost:3000", "null"] {
        let answer = preflight(origin).await.unwrap();
        assert!(answer.headers().get("access-control-allow-origin").is_none(), "{origin}");
        let answer = shop.get("/products").header("origin", origin).send().await;
        assert_eq!((answer.status, answer.header("access-control-allow-origin")), (200, None));
    }
    let answer = shop.get("/nothing").header("origin", "http://localhost:3000").send().await;
    assert_eq!(answer.header("access-control-allow-origin").as_deref(), Some("http://localhost:3000"));
    assert!(answer.header("access-control-expose-headers").unwrap().contains("x-request-id"));
}

/// Answers are compressed as the client asks.
#[tokio::test]
async fn answers_are_compressed() {
    let shop = TestApp::start().await;
    let plain = shop.get("//openapi.json").header("accept-encoding", "identity").send().await;
    assert_eq!(plain.header("content-encoding"), None);
    for encoding in ["gzip", "br", "zstd"] {
        let request = shop.http.get(format!("{}/openapi.json", shop.url)).header("accept-encoding", encoding);
        let answer = request.send().await.unwrap();
        assert_eq!(answer.headers()["content-encoding"], encoding);
        assert!(answer.headers()["vary"].to_str().unwrap().contains("accept-encoding"));
        assert!(answer.bytes().await.unwrap().len() < plain.text.len() / 4);
    }
}

/// A product has an entity tag; a client that knows it gets 304, until the product changes.
#[tokio::test]
async fn a_known_product_is_not_sent_again() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let product = shop.product(&admin, "ETAG", 100, 5).await;
    let path = format!("/products/{}", product.slug);
    let tag = shop.get(&path).send().await.header("etag").unwrap();
    for known in [tag.clone(), format!("\"other\", {tag}"), tag.trim_start_matches("W/").to_owned(), "*".into()] {
        let answer = shop.get(&path).header("if-none-match", &known).send().await;
        assert_eq!((answer.status, answer.text.as_str()), (304, ""), "{known}");
        assert_eq!(answer.header("etag").as_ref(), Some(&tag));
    }
    assert_eq!(shop.get(&path).header("if-none-match", "\"other\"").send().await.status, 200);
    let change = json!({"version": 1, "price": 120});
    shop.patch(&format!("/products/{}", product.id)).token(&admin).json(&change).send().await.expect(200);
    let answer = shop.get(&path).header("if-none-match", &tag).send().await;
    assert_ne!(answer.header("etag").unwrap(), tag);
    assert_eq!(answer.expect(200)["product"]["price"], 120);
    // The same bytes compressed are another representation, so the tag promises no more than the same content.
    assert!(tag.starts_with("W/"), "{tag}");
}

/// Lists have entity tags as well: a client that knows one gets 304, until something in it changes.
#[tokio::test]
async fn a_known_list_is_not_sent_again() {
    let shop = TestApp::with(|config| config.limits.public_per_minute = 1_000).await;
    let admin = shop.staff(Role::Admin).await;
    let ama = shop.customer("ama@example.com").await;
    let product = shop.product(&admin, "LISTED", 100, 5).await;
    shop.order(&ama, &product, 1).await;
    let get = |path: &str| shop.get(path).token(&ama).header("origin", "http://localhost:3000");
    let varies = |answer: &crate::support::Answer, on: &str| {
        answer.headers.get_all("vary").iter().any(|value| value.to_str().unwrap().contains(on))
    };
    let mut tags = Vec::new();
    for path in ["/orders", "/products"] {
        let full = get(path).send().await;
        assert_eq!(full.status, 200, "{}", full.text);
        let tag = full.header("etag").unwrap();
        assert!(tag.starts_with("W/\"") && tag.len() == 36, "{tag}");
        assert_eq!(full.header("cache-control").as_deref(), Some("private, no-cache"));
        for known in [tag.clone(), format!("\"other\", {tag}"), tag.trim_start_matches("W/").to_owned(), "*".into()] {
            let answer = get(path).header("if-none-match", &known).send().await;
            assert_eq!((answer.status, answer.text.as_str()), (304, ""), "{known}");
            for name in ["etag", "cache-control", "access-control-allow-origin", "x-ratelimit-limit"] {
                assert!(full.header(name).is_some(), "{name}: {full:?}");
                assert_eq!(answer.header(name), full.header(name), "{name}: {answer:?}");
            }
            assert_eq!(answer.header("content-type"), None);
            assert!(varies(&answer, "accept-encoding") && varies(&answer, "origin"), "{answer:?}");
        }
        let other = get(path).header("if-none-match", "\"other\"").header("accept-encoding", "gzip").send().await;
        assert_eq!((other.status, other.header("etag")), (200, Some(tag.clone())));
        let head = shop.http.head(format!("{}/api/v1{path}", shop.url)).bearer_auth(&ama);
        let head = head.header("if-none-match", &tag).send().await.unwrap();
        assert_eq!((head.status().as_u16(), head.headers()["etag"].to_str().unwrap()), (304, tag.as_str()));
        tags.push((path, tag));
    }
    // Another person's list is another one.
    let ben = shop.customer("ben@example.com").await;
    let (path, tag) = &tags[0];
    let answer = shop.get(path).token(&ben).header("if-none-match", tag).send().await;
    assert_eq!(answer.expect(200)["orders"], json!([]));

    shop.product(&admin, "NEW", 100, 5).await;
    shop.order(&ama, &product, 1).await;
    for (path, tag) in &tags {
        let answer = get(path).header("if-none-match", tag).send().await;
        assert_eq!(answer.status, 200, "{path}");
        assert_ne!(answer.header("etag").as_ref(), Some(tag), "{path}");
    }
}

/// Only good answers to reads have a tag, and no cache may keep for others what no handler released.
#[tokio::test]
async fn refusals_and_writes_have_no_tag() {
    let shop = TestApp::start().await;
    let refused = shop.get("/products?page=x").header("if-none-match", "*").send().await;
    refused.expect_error(400, "VALIDATION_ERROR");
    let body = json!({"email": "ama@example.com", "password": "Test@1234", "name": "Ama"});
    let written = shop.post("/auth/register").header("if-none-match", "*").json(&body).send().await;
    assert_eq!(written.status, 201, "{}", written.text);
    for (answer, policy) in [(refused, "private, no-cache"), (written, "no-store")] {
        assert_eq!(answer.header("etag"), None);
        assert_eq!(answer.header("cache-control").as_deref(), Some(policy), "{answer:?}");
    }
    let page = shop.get("//").send().await;
    assert_eq!((page.header("etag"), page.header("cache-control").as_deref()), (None, Some("no-store")));
    assert_eq!(shop.get("//healthz").header("if-none-match", "*").send().await.status, 200);
}

/// After a change has been answered, nobody sees the old price, by id or by slug, however hot the cache is.
#[tokio::test]
async fn no_stale_price_is_served_after_a_change() {
    let shop = TestApp::with(|config| config.cache.product_seconds = 3_600).await;
    let admin = shop.staff(Role::Admin).await;
    let product = shop.product(&admin, "HOT", 100, 5).await;
    let (id, slug) = (format!("/products/{}", product.id), format!("/products/{}", product.slug));
    for version in 1..=25 {
        shop.get(&id).send().await.expect(200);
        shop.get(&slug).send().await.expect(200);
        let change = json!({"version": version, "price": 100 + version});
        shop.patch(&id).token(&admin).json(&change).send().await.expect(200);
        for path in [&id, &slug] {
            assert_eq!(shop.get(path).send().await.expect(200)["product"]["price"], 100 + version);
        }
    }
    shop.delete(&id).token(&admin).send().await.expect(200);
    for path in [&id, &slug] {
        shop.get(path).send().await.expect_error(404, "NOT_FOUND");
    }
}

/// Alive and ready; not ready once the process begins to stop.
#[tokio::test]
async fn readiness_ends_when_the_stop_begins() {
    let shop = TestApp::start().await;
    assert_eq!(shop.get("//healthz").send().await.body, json!({"status": "ok"}));
    let answer = shop.get("//readyz").send().await;
    assert_eq!((answer.status, &answer.body["status"]), (200, &json!("ready")));
    shop.app.begin_stop();
    let answer = shop.get("//readyz").send().await;
    assert_eq!((answer.status, &answer.body["status"]), (503, &json!("not ready")));
    let checks = &answer.body["checks"];
    assert_eq!((&checks["database"], &checks["process"]), (&json!("ok"), &json!("stopping")));
    assert_eq!(shop.get("//healthz").send().await.status, 200);
}

/// A database that lacks a migration is not ready, and the answer says what to do.
#[tokio::test]
async fn a_missing_migration_is_not_ready() {
    let shop = TestApp::start().await;
    sqlx::query("delete from _sqlx_migrations where version = (select max(version) from _sqlx_migrations)")
        .execute(&shop.database.pool)
        .await
        .unwrap();
    let answer = shop.get("//readyz").send().await;
    assert_eq!(answer.status, 503);
    assert!(answer.body["checks"]["database"].as_str().unwrap().contains("agape migrate up"));
}

/// Measurements count requests by route, not by address, so that no client can make up series.
#[tokio::test]
async fn requests_are_counted_by_route() {
    let shop = TestApp::start().await;
    shop.get("/products/some-name").send().await;
    shop.get("/made-up").send().await;
    let text = shop.get("//metrics").send().await.text;
    let counted = text
        .lines()
        .find(|line| line.starts_with("agape_http_requests_total") && line.contains("/api/v1/products/{product}"))
        .unwrap();
    assert!(counted.contains("method=\"GET\"") && counted.contains("status=\"404\""), "{counted}");
    assert!(text.contains("route=\"unmatched\"") && !text.contains("made-up"));
    assert!(text.contains("agape_db_connections"));
}

/// The docs page and all it loads come from this server.
#[tokio::test]
async fn the_docs_page_works_offline() {
    let shop = TestApp::start().await;
    let answer = shop.get("//docs").send().await;
    assert!(answer.status == 200 || answer.header("location").as_deref() == Some("/docs/"), "{answer:?}");
    let page = shop.get("//docs/").send().await;
    assert_eq!(page.status, 200);
    assert!(!page.text.contains("http://") && !page.text.contains("https://"), "{}", page.text);
    let mut assets = 0;
    for part in page.text.split(['"', '\'']).filter(|part| part.ends_with(".js") || part.ends_with(".css")) {
        let asset = shop.get(&format!("//docs/{}", part.trim_start_matches("./"))).send().await;
        assert_eq!(asset.status, 200, "{part}");
        assets += 1;
    }
    assert!(assets >= 3, "{}", page.text);
    let setup = shop.get("//docs/swagger-initializer.js").send().await.text;
    assert!(setup.contains("/openapi.json"), "{setup}");
    // Left out, it sends the document's address to a foreign validator.
    assert!(setup.contains("\"validatorUrl\": \"none\""), "{setup}");
    // The page's policy has no inline script, so it must not need one.
    assert!(!page.text.contains("<script>"), "{}", page.text);
}

/// The served document is the binary's own, and so is the copy in the repository.
#[tokio::test]
async fn the_openapi_document_is_the_committed_one() {
    let shop = TestApp::start().await;
    let document: Value = serde_json::from_str(&agape::openapi::json().unwrap()).unwrap();
    assert!(shop.get("//openapi.json").send().await.body == document, "the served document is not the binary's own");
    assert_eq!(document["openapi"], "3.1.0");
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi.json");
    let committed = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        committed == agape::openapi::json().unwrap(),
        "openapi.json is not what the code says; renew it with: cargo run -q -- openapi --output openapi.json"
    );
}

/// Anyone can check an access token with the published key.
#[tokio::test]
async fn the_public_key_is_published() {
    let shop = TestApp::start().await;
    let keys = shop.get("//.well-known/jwks.json").send().await.body;
    let key = &keys["keys"][0];
    assert_eq!((&key["kty"], &key["alg"], &key["use"]), (&json!("RSA"), &json!("RS256"), &json!("sig")));
    assert!(key["n"].as_str().unwrap().len() >= 342 && key["e"] == "AQAB", "{key}");
    assert!(key["d"].is_null() && key["p"].is_null());
}

/// A client's address in `X-Forwarded-For` is believed only from a trusted proxy, and only the part the proxy wrote.
#[tokio::test]
async fn only_a_trusted_proxy_names_the_client() {
    let register = async |shop: &TestApp, email: &str, forwarded: &[&str]| {
        let mut call = shop.post("/auth/register").header("user-agent", "a browser");
        for value in forwarded {
            call = call.header("x-forwarded-for", value);
        }
        call.json(&json!({"email": email, "password": "Test@1234", "name": "A"})).send().await.expect(201);
        let sql = "select s.ip || ' ' || (p.content->>'ip') || ' ' || s.user_agent
                   from sessions s, audit_log a join audit_parts p on p.entry_id = a.id and p.part = 'origin'
                   where a.entity_id = s.user_id::text order by s.created_at desc limit 1";
        shop.database.text(sql).await.unwrap()
    };
    let direct = TestApp::start().await;
    let seen = register(&direct, "a@example.com", &["203.0.113.7"]).await;
    assert_eq!(seen, "127.0.0.1 127.0.0.1 a browser");

    let behind = TestApp::with(|config| {
        config.server.trusted_proxies = vec!["127.0.0.1".parse().unwrap(), "10.0.0.0/8".parse().unwrap()];
    })
    .await;
    for (i, (forwarded, ip)) in [
        (&["203.0.113.7"][..], "203.0.113.7"),
        // What stands before the proxy's own entry came from the client.
        (&["1.1.1.1, 203.0.113.7, 10.0.0.1"][..], "203.0.113.7"),
        // Every address of a trusted network is a proxy.
        (&["1.1.1.1, 203.0.113.7, 10.200.3.4, 10.0.0.1:80"][..], "203.0.113.7"),
        (&["1.1.1.1, 11.0.0.1"][..], "11.0.0.1"),
        // A proxy may add a second header line instead.
        (&["1.1.1.1", "203.0.113.7"][..], "203.0.113.7"),
        // Some write the port too.
        (&["1.1.1.1, 203.0.113.7:4711"][..], "203.0.113.7"),
        (&["2001:db8::1"][..], "2001:db8::1"),
        // What cannot be read is not skipped, or the client could choose.
        (&["1.1.1.1, unknown"][..], "127.0.0.1"),
        (&[][..], "127.0.0.1"),
    ]
    .into_iter()
    .enumerate()
    {
        let seen = register(&behind, &format!("p{i}@example.com"), forwarded).await;
        assert_eq!(seen, format!("{ip} {ip} a browser"), "{forwarded:?}");
    }
}
