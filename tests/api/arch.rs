//! The arrows of `docs/architecture.md`: who may know whom. A broken one fails here, with its line.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Which feature may use which, through the other's `mod.rs`, and why. Everything wider is a flow.
const EDGES: [(&str, &str, &str); 44] = [
    ("addresses", "auth", "whose address book it is"),
    ("audit", "auth", "an entry names its actor, who is an `Identity`"),
    ("auth", "audit", "sign-ins and their failures are on record"),
    ("auth", "notifications", "sends the mails about an account"),
    ("carts", "auth", "whose cart it is"),
    ("carts", "catalog", "a line shows a variant's name and picture"),
    ("catalog", "audit", "what staff changes is on record"),
    ("catalog", "auth", "staff routes ask for a permission"),
    ("catalog", "inventory", "a new variant comes with its first stock"),
    ("catalog", "media", "products show pictures of the library, in its sizes"),
    ("coupons", "audit", "what staff does to coupons is on record"),
    ("coupons", "auth", "staff routes ask for a permission; who is signed in is known by his account's address"),
    ("disputes", "audit", "what staff answers is on record"),
    ("disputes", "auth", "staff routes ask for a permission"),
    ("inventory", "audit", "what staff does to stock is on record"),
    ("inventory", "auth", "staff routes ask for a permission; an account is written to at its own address"),
    ("invoices", "auth", "whose order it is"),
    ("invoices", "media", "the files are kept with the pictures"),
    ("invoices", "orders", "an invoice is of an order"),
    ("invoices", "payments", "an invoice says how much of the money has gone back"),
    ("media", "audit", "what staff takes in and deletes is on record"),
    ("media", "auth", "staff routes ask for a permission"),
    ("merchant_webhooks", "audit", "what staff does to webhooks is on record"),
    ("merchant_webhooks", "auth", "staff routes ask for a permission"),
    ("merchant_webhooks", "events", "of which addresses are told"),
    ("orders", "audit", "what staff does to orders is on record"),
    ("orders", "auth", "whose orders they are"),
    ("orders", "coupons", "an order names a coupon by its code"),
    ("orders", "disputes", "staff see an order with who wants its money back"),
    ("orders", "payments", "staff see an order with its money"),
    ("orders", "shipping", "a quote shows the ways of shipping"),
    ("payments", "auth", "whose payments they are"),
    ("privacy", "auth", "whose data it is"),
    ("reconciliation", "audit", "what staff starts and closes is on record"),
    ("reconciliation", "auth", "staff routes ask for a permission"),
    ("reconciliation", "payments", "a finding says where a payment stands"),
    ("shipping", "audit", "what staff changes is on record"),
    ("shipping", "auth", "staff routes ask for a permission"),
    ("taxes", "audit", "what staff changes is on record"),
    ("taxes", "auth", "staff routes ask for a permission"),
    ("webhooks", "audit", "what staff has worked on again is on record"),
    ("webhooks", "auth", "staff routes ask for a permission"),
    ("wishlists", "auth", "whose wishes they are"),
    ("wishlists", "catalog", "a wishlist shows whole products"),
];

/// Uses that no other rule explains.
const EXCEPTIONS: [(&str, &str, &str); 5] = [
    (
        "src/features/auth/http.rs",
        "crate::features::carts",
        "whoever signs in brings along the guest's cart that `Carried` names",
    ),
    (
        "src/features/coupons/http.rs",
        "crate::features::carts",
        "a coupon may be tried on the caller's cart, which `Owner` names",
    ),
    (
        "src/features/orders/http.rs",
        "crate::features::carts",
        "an old order fills the cart again, whose rules say what is left out",
    ),
    (
        "src/features/orders/place_http.rs",
        "crate::features::carts",
        "an order may be placed from the caller's cart, which `Owner` names",
    ),
    (
        "src/features/webhooks/http.rs",
        "paystack::webhook",
        "checking a signature is arithmetic, not a call to a vendor",
    ),
];

/// Modules of features that are open to everyone.
const OPEN_MODULES: [(&str, &str); 2] = [
    ("catalog::demo", "the command line loads the demo catalogue"),
    ("catalog::import", "the format of product files, with its own tests"),
];

/// Which feature's stores write and read a table. `shared` ones may be read by every store.
const TABLES: [(&str, &str); 73] = [
    ("users", "auth"),
    ("sessions", "auth"),
    ("refresh_tokens", "auth"),
    ("email_tokens", "auth"),
    ("recovery_codes", "auth"),
    ("login_challenges", "auth"),
    ("user_addresses", "addresses"),
    ("consents", "privacy"),
    ("audit_log", "audit"),
    ("audit_parts", "audit"),
    ("categories", "catalog"),
    ("products", "catalog"),
    ("product_images", "catalog"),
    ("product_stock", "catalog"),
    ("variants", "catalog"),
    ("search_words", "catalog"),
    ("product_slugs", "catalog"),
    ("category_slugs", "catalog"),
    ("category_counts", "catalog"),
    ("media_assets", "media"),
    ("media_loose", "media"),
    ("invoices", "invoices"),
    ("invoice_years", "invoices"),
    ("media_uses", "shared"),
    ("imports", "catalog"),
    ("import_chunks", "catalog"),
    ("import_problems", "catalog"),
    ("product_listing", "shared"),
    ("variant_offers", "shared"),
    ("stock_levels", "inventory"),
    ("stock_movements", "inventory"),
    ("reservations", "inventory"),
    ("stock_low", "inventory"),
    ("stock_watch", "inventory"),
    ("back_in_stock_requests", "inventory"),
    ("carts", "carts"),
    ("cart_items", "carts"),
    ("wishlist_items", "wishlists"),
    ("coupons", "coupons"),
    ("coupon_products", "coupons"),
    ("coupon_categories", "coupons"),
    ("coupon_redemptions", "coupons"),
    ("orders", "orders"),
    ("order_items", "orders"),
    ("order_events", "orders"),
    ("order_moves", "orders"),
    ("fulfilments", "orders"),
    ("fulfilment_items", "orders"),
    ("returns", "orders"),
    ("return_items", "orders"),
    ("payments", "payments"),
    ("refunds", "payments"),
    ("refund_items", "payments"),
    ("refund_moves", "payments"),
    ("webhook_events", "webhooks"),
    ("reconciliations", "reconciliation"),
    ("reconciliation_days", "reconciliation"),
    ("reconciliation_items", "reconciliation"),
    ("reconciliation_refunds", "reconciliation"),
    ("reconciliation_sums", "reconciliation"),
    ("reconciliation_findings", "reconciliation"),
    ("reconciliation_hits", "reconciliation"),
    ("disputes", "disputes"),
    ("dispute_notes", "disputes"),
    ("payment_reviews", "payments"),
    ("dispute_looks", "disputes"),
    ("taxes", "taxes"),
    ("shipping_zones", "shipping"),
    ("shipping_places", "shipping"),
    ("shipping_methods", "shipping"),
    ("shipping_tiers", "shipping"),
    ("webhook_endpoints", "merchant_webhooks"),
    ("webhook_deliveries", "merchant_webhooks"),
];

/// Stores that read another feature's table, and why.
const TABLE_EXCEPTIONS: [(&str, &str, &str); 19] = [
    ("src/features/inventory/store.rs", "variants", "tells which products' cached answers a change of stock concerns"),
    ("src/features/inventory/store/", "variants", "staff know a level by its variant's sku"),
    (
        "src/features/inventory/store/",
        "products",
        "and by its product's title; the lists need the indexes, not the view",
    ),
    ("src/features/events/store.rs", "order_events", "the timeline is the outbox; nothing is written twice"),
    ("src/features/events/store.rs", "stock_movements", "and so is the ledger"),
    ("src/features/events/store.rs", "orders", "an event names its order by its number"),
    ("src/features/events/store.rs", "variants", "and its variant by its sku"),
    (
        "src/features/reconciliation/store/items.rs",
        "payments",
        "the provider's list is joined with our payments, in one query",
    ),
    ("src/features/reconciliation/store/items.rs", "refunds", "and its list of refunds with ours"),
    ("src/features/disputes/store/lost.rs", "payments", "nothing is written down of a payment that has nothing left"),
    ("src/features/disputes/store/lost.rs", "refunds", "which losses are not written down as refunds; one query"),
    ("src/features/coupons/store/", "products", "which goods a coupon is for"),
    ("src/features/coupons/store/", "categories", "and that a category stands for those below it"),
    (
        "src/features/coupons/store/find.rs",
        "users",
        "a customer is known by his account's address; one query for an order",
    ),
    ("src/features/coupons/store/find.rs", "orders", "a coupon may be for a first order; the same query"),
    ("src/features/payments/store/sending.rs", "orders", "the doctor compares an order with its money; one query"),
    (
        "src/features/payments/store/reviews.rs",
        "users",
        "since when the buyer has his account; one query for an attempt",
    ),
    (
        "src/features/invoices/store.rs",
        "orders",
        "which sold orders have no invoice, and which files name a buyer who was erased; one query each",
    ),
    ("src/features/inventory/store/levels.rs", "categories", "the stock of a category is that of those below it too"),
];

struct Source {
    /// From the root of the project, such as `src/features/auth/http.rs`.
    file: String,
    /// Without the tests at its end and without comments.
    lines: Vec<String>,
}

impl Source {
    fn name(&self) -> &str {
        self.file.rsplit('/').next().unwrap()
    }

    fn feature(&self) -> Option<&str> {
        self.file.strip_prefix("src/features/")?.split_once('/').map(|(feature, _)| feature)
    }

    fn is_store(&self) -> bool {
        self.name() == "store.rs" || self.file.contains("/store/")
    }

    fn is_http(&self) -> bool {
        let is_page = matches!(self.name(), "pages.rs" | "mailbox.rs" | "extract.rs");
        self.feature().is_some() && (is_page || self.name().ends_with("http.rs"))
    }

    fn is_model(&self) -> bool {
        self.feature().is_some() && self.name() == "model.rs" || self.file.starts_with("src/features/catalog/import/")
    }

    fn is_service(&self) -> bool {
        self.feature().is_some() && self.name().ends_with("service.rs")
            || self.file.starts_with("src/flows/") && !self.is_store()
    }

    /// `crate::features::auth` for `src/features/auth/mod.rs`.
    fn module(&self) -> Vec<String> {
        let mut module = vec!["crate".to_owned()];
        let path = self.file.trim_start_matches("src/").trim_end_matches(".rs");
        module.extend(path.split('/').filter(|part| !matches!(*part, "mod" | "lib" | "main")).map(str::to_owned));
        module
    }

    /// Every path in the file, written out from its root, with its line.
    fn paths(&self) -> Vec<(usize, String)> {
        let mut paths = Vec::new();
        let mut tree: Option<(usize, String)> = None;
        for (i, line) in self.lines.iter().enumerate() {
            let trimmed = line.trim();
            let visible = trimmed.strip_prefix("pub(crate) ").or(trimmed.strip_prefix("pub ")).unwrap_or(trimmed);
            if let Some((_, text)) = &mut tree {
                text.push_str(trimmed);
            } else if let Some(rest) = visible.strip_prefix("use ") {
                tree = Some((i + 1, rest.to_owned()));
            } else {
                for word in line.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':')) {
                    if word.contains("::") {
                        paths.push((i + 1, word.trim_matches(':').to_owned()));
                    }
                }
            }
            if let Some((at, text)) = tree.take_if(|(_, text)| text.ends_with(';')) {
                let mut found = Vec::new();
                expand("", text.trim_end_matches(';'), &mut found);
                paths.extend(found.into_iter().map(|path| (at, path)));
            }
        }
        let module = self.module();
        for (_, path) in &mut paths {
            let supers = path.split("::").take_while(|part| *part == "super").count();
            if supers > 0 {
                let rest: Vec<&str> = path.split("::").skip(supers).collect();
                let base = &module[..module.len().saturating_sub(supers).max(1)];
                *path = base.iter().map(String::as_str).chain(rest).collect::<Vec<_>>().join("::");
            } else if let Some(rest) = path.strip_prefix("self::") {
                *path = format!("{}::{rest}", module.join("::"));
            }
        }
        paths
    }
}

/// Writes `a::{b, c::{d, e}}` out as `a::b`, `a::c::d`, `a::c::e`.
fn expand(prefix: &str, tree: &str, found: &mut Vec<String>) {
    let Some(open) = tree.find('{') else {
        let path = tree.split(" as ").next().unwrap().trim();
        let path = format!("{prefix}{path}");
        found.push(path.trim_end_matches("::self").to_owned());
        return;
    };
    let prefix = format!("{prefix}{}", &tree[..open]);
    let inside = tree[open + 1..].trim_end().strip_suffix('}').unwrap();
    let (mut depth, mut start) = (0, 0);
    for (i, c) in inside.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                expand(&prefix, inside[start..i].trim(), found);
                start = i + 1;
            }
            _ => {}
        }
    }
    if !inside[start..].trim().is_empty() {
        expand(&prefix, inside[start..].trim(), found);
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn rust_files(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn sources(dir: &str) -> Vec<Source> {
    let mut files = Vec::new();
    rust_files(&root().join(dir), &mut files);
    files.sort();
    files
        .into_iter()
        .map(|path| {
            let text = std::fs::read_to_string(&path).unwrap();
            let lines = text
                .lines()
                .take_while(|line| *line != "#[cfg(test)]")
                .map(|line| if line.trim_start().starts_with("//") { String::new() } else { line.to_owned() })
                .collect();
            Source { file: path.strip_prefix(root()).unwrap().display().to_string(), lines }
        })
        .collect()
}

/// Collects what is broken, so that all of it is told at once.
#[derive(Default)]
struct Broken {
    faults: Vec<String>,
    used: BTreeSet<(String, String)>,
}

impl Broken {
    fn note(&mut self, source: &Source, line: usize, path: &str, why: &str) {
        let excepted = EXCEPTIONS.iter().find(|(file, allowed, _)| {
            *file == source.file
                && path.strip_prefix(allowed).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
        });
        match excepted {
            Some((file, allowed, _)) => {
                self.used.insert(((*file).to_owned(), (*allowed).to_owned()));
            }
            None => self.faults.push(format!("{}:{line}: {path}: {why}", source.file)),
        }
    }
}

fn starts(path: &str, root: &str) -> bool {
    path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

#[test]
fn nobody_knows_whom_he_must_not_know() {
    let mut broken = Broken::default();
    let mut edges = BTreeSet::new();
    for source in sources("src") {
        let upper = ["app", "boot", "cli", "features", "flows", "jobs", "openapi", "pipeline", "router"]
            .map(|m| format!("crate::{m}"));
        for (line, path) in source.paths() {
            let mut refuse = |why: &str| broken.note(&source, line, &path, why);
            if source.file.starts_with("src/platform/") && upper.iter().any(|module| starts(&path, module)) {
                refuse("the platform knows nothing above it");
            }
            if source.is_model() {
                let sql = starts(&path, "sqlx")
                    && !["sqlx::Type", "sqlx::FromRow", "sqlx::types"].iter().any(|fine| starts(&path, fine));
                if sql || ["axum", "crate::app", "crate::platform::clock"].iter().any(|no| starts(&path, no)) {
                    refuse("a model knows neither HTTP, SQL, the clock nor the application");
                }
            }
            if source.is_store() {
                if ["axum", "crate::app", "crate::platform::http::Answer"].iter().any(|no| starts(&path, no)) {
                    refuse("a store takes a connection and knows no more");
                }
                if let Some(feature) = source.feature() {
                    let above = ["service", "http", "admin_http", "staff_http", "pages", "jobs", "extract"];
                    if above.iter().any(|m| starts(&path, &format!("crate::features::{feature}::{m}"))) {
                        refuse("a store does not know who calls it");
                    }
                }
            }
            if source.is_service() && starts(&path, "axum") {
                refuse("rules know nothing of HTTP");
            }
            if source.is_http() && ["sqlx", "paystack", "reqwest"].iter().any(|no| starts(&path, no)) {
                refuse("a handler extracts, calls and views");
            }
            if starts(&path, "crate::flows") {
                let entry = source.is_http() || source.name() == "jobs.rs" || source.file.starts_with("src/flows/");
                if source.file.starts_with("src/features/") && !entry {
                    refuse("only the edges of a feature start a flow");
                }
            }
            let Some(rest) = path.strip_prefix("crate::features::") else { continue };
            let mut parts = rest.split("::");
            let (target, item) = (parts.next().unwrap(), parts.next().unwrap_or_default());
            if source.feature() == Some(target) {
                continue;
            }
            let file = root().join("src/features").join(target);
            let is_module = file.join(format!("{item}.rs")).exists() || file.join(item).is_dir() && !item.is_empty();
            // A function that is exported may have the name of its module.
            let deeper = is_module && rest.split("::").nth(2).is_some();
            let open = OPEN_MODULES.iter().any(|(module, _)| starts(rest, module));
            if deeper && !open {
                broken.note(&source, line, &path, "only what the feature's mod.rs exports");
            }
            if let Some(feature) = source.feature() {
                if EDGES.iter().any(|(from, to, _)| *from == feature && *to == target) {
                    edges.insert((feature.to_owned(), target.to_owned()));
                } else {
                    broken.note(&source, line, &path, "features do not know each other; join them in a flow");
                }
            }
        }
    }
    assert!(broken.faults.is_empty(), "broken arrows:\n{}", broken.faults.join("\n"));
    for (from, to, _) in EDGES {
        assert!(edges.contains(&(from.into(), to.into())), "{from} does not use {to} any more; take it off the table");
    }
    for (file, path, _) in EXCEPTIONS {
        assert!(broken.used.contains(&(file.into(), path.into())), "{file} does not use {path} any more");
    }
}

#[test]
fn sql_is_in_stores_only() {
    let mut faults = Vec::new();
    for source in sources("src") {
        if source.is_store() || source.file.starts_with("src/platform/") {
            continue;
        }
        for (i, line) in source.lines.iter().enumerate() {
            if ["sqlx::query", "QueryBuilder", "sqlx::raw_sql"].iter().any(|sql| line.contains(sql)) {
                faults.push(format!("{}:{}: {}", source.file, i + 1, line.trim()));
            }
            if source.is_http() && line.contains(".paystack.") {
                faults.push(format!("{}:{}: a handler calls a vendor", source.file, i + 1));
            }
        }
    }
    assert!(faults.is_empty(), "SQL outside of a store:\n{}", faults.join("\n"));
}

#[test]
fn a_store_knows_its_own_tables() {
    let mut faults = Vec::new();
    for source in sources("src/features").iter().filter(|source| source.is_store()) {
        let feature = source.feature().unwrap();
        let text = source.lines.join("\n").to_lowercase();
        let words: Vec<&str> =
            text.split(|c: char| !(c.is_alphanumeric() || c == '_')).filter(|word| !word.is_empty()).collect();
        for pair in words.windows(2) {
            if !matches!(pair[0], "from" | "join" | "into" | "update") {
                continue;
            }
            let Some((table, owner)) = TABLES.iter().find(|(table, _)| *table == pair[1]) else { continue };
            let excepted =
                TABLE_EXCEPTIONS.iter().any(|(file, known, _)| source.file.starts_with(file) && known == table);
            if *owner != feature && *owner != "shared" && !excepted {
                faults.push(format!("{}: {} {table}, which is of {owner}", source.file, pair[0]));
            }
        }
    }
    assert!(faults.is_empty(), "tables of others:\n{}", faults.join("\n"));
}

#[test]
fn the_crates_stand_on_their_own() {
    let mut faults = Vec::new();
    for entry in std::fs::read_dir(root().join("crates")).unwrap() {
        let dir = format!("crates/{}/src", entry.unwrap().file_name().to_str().unwrap());
        // A program reads its own environment.
        for source in sources(&dir).iter().filter(|source| !source.file.contains("/src/bin/")) {
            for (line, path) in source.paths() {
                // Splitting a PATH that the caller hands over reads nothing.
                let env = starts(&path, "std::env") && path != "std::env::split_paths";
                if env || ["sqlx", "agape"].iter().any(|no| starts(&path, no)) {
                    faults.push(format!("{}:{line}: {path}", source.file));
                }
            }
        }
    }
    assert!(faults.is_empty(), "crates that know too much:\n{}", faults.join("\n"));
}

#[test]
fn a_tree_of_uses_is_written_out() {
    let mut found = Vec::new();
    expand("", "crate::features::{audit, auth::{self, Role as R}, orders::{Order,}}", &mut found);
    assert_eq!(
        found,
        [
            "crate::features::audit",
            "crate::features::auth",
            "crate::features::auth::Role",
            "crate::features::orders::Order"
        ]
    );
}
