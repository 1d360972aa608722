//! The search: what is found for what people type, and what they are told when nothing is.

use agape::features::auth::Role;
use serde_json::{Value, json};

use crate::support::TestApp;

/// The shop in which is searched: sku, title, tags, short description.
const GOODS: [(&str, &str, &str, &str); 47] = [
    ("KEN-001", "Royal Kente Bonwire", "kente,royal,ghana", "Handwoven on a narrow loom in Bonwire"),
    ("KEN-002", "Kente Stole", "kente,graduation", "A stole for graduation day"),
    ("KEN-003", "Adweneasa Kente Cloth", "kente,gold", "My skill is exhausted, as the weavers say"),
    ("KEN-004", "Ewe Kente Six Yards", "kente,volta", "From the looms of Agbozume"),
    ("ASO-001", "Aso-oke Bridal Set", "aso-oke,wedding", "Gele, ipele and fila in metallic thread"),
    ("ASO-002", "Sanyan Aso-oke", "aso-oke,silk", "Wild silk in its own beige"),
    ("ASO-003", "Alaari Aso-oke", "aso-oke,crimson", "Crimson silk for great days"),
    ("ASO-004", "Etu Aso-oke", "aso-oke,indigo", "Deep indigo like the guinea fowl"),
    ("ADI-001", "Àdìrẹ Ẹlẹ́kọ", "adire,indigo", "Cassava paste resist on cotton"),
    ("ADI-002", "Àdìrẹ Oníko", "adire,tie-dye", "Tied with raffia and dyed"),
    ("ANK-001", "Ankara Wax Print Peacock", "ankara,wax", "Hollandais wax, six yards"),
    ("ANK-002", "Ankara Peplum Blouse", "ankara,blouse", "Ready to wear"),
    ("ANK-003", "Ankara Headwrap", "ankara,headwrap", "A wrap of two yards"),
    ("LAC-001", "Swiss Voile Lace", "lace,swiss", "Cotton voile with eyelets"),
    ("LAC-002", "French Lace Emerald", "lace,french", "Corded lace, five yards"),
    ("LAC-003", "Guipure Lace Ivory", "lace,guipure", "Heavy cord lace for brides"),
    ("LAC-004", "Sequin Tulle Lace", "lace,sequin", "Sequins on soft tulle"),
    ("BRO-001", "Guinea Brocade Bazin Riche", "brocade,bazin", "Polished damask"),
    ("BRO-002", "Brocade Jacquard Gold", "brocade,gold", "Woven flowers"),
    ("DAM-001", "White Damask Senator", "damask,senator", "For the senator style"),
    ("BOG-001", "Bogolanfini Mud Cloth", "bogolan,mali", "Fermented mud on cotton from Mali"),
    ("FUG-001", "Fugu Smock Batakari", "fugu,smock,ghana", "Strip-woven smock of the north"),
    ("AGB-001", "Agbada Three Piece", "agbada,men", "Embroidered agbada with sokoto and buba"),
    ("DAS-001", "Dashiki Angelina Shirt", "dashiki,men", "The classic print"),
    ("KAF-001", "Kaftan Linen Navy", "kaftan,men", "Light linen kaftan"),
    ("ISI-001", "Isiagu Lion Head", "isiagu,igbo", "Velvet with lion heads, for chiefs"),
    ("GEO-001", "George Wrapper Intorica", "george,wrapper", "Indian George with stones"),
    ("AKW-001", "Akwete Cloth", "akwete,igbo", "Woven by women of Abia"),
    ("GEL-001", "Gele Headtie Sego", "gele,headtie", "Stiff sego for the perfect fan"),
    ("COR-001", "Coral Beads Set", "beads,coral,edo", "Necklace, bracelet and earrings"),
    ("WAI-001", "Waist Beads Krobo", "beads,krobo", "Recycled glass from Krobo"),
    ("SHU-001", "Shuku Raffia Bag", "bag,raffia", "Woven raffia basket bag"),
    ("FIL-001", "Fila Cap Velvet", "fila,cap", "A cap for men"),
    ("SLI-001", "Leather Slippers Kano", "leather,slippers", "Goat leather from Kano"),
    ("FAN-001", "Ostrich Feather Fan", "fan,wedding", "For the bride and her train"),
    ("THR-001", "Metallic Thread Spool", "thread,haberdashery", "For kente and aso-oke weavers"),
    ("BUT-001", "Covered Buttons", "buttons,haberdashery", "A dozen"),
    ("LIN-001", "Cotton Lining", "lining,cotton", "Plain cotton by the yard"),
    ("VEL-001", "Velvet Burgundy", "velvet", "Soft plush velvet"),
    ("CHI-001", "Chiffon Teal", "chiffon", "Sheer and light"),
    ("CRE-001", "Crêpe Señorita Rosé", "crepe", "A crêpe with a fine grain"),
    ("KID-001", "Children's Ankara Dress", "ankara,children", "For girls of six to eight"),
    ("ORG-001", "Ivory Organza", "organza", "Crisp and sheer"),
    ("ORG-002", "Organza Gloves, Ivory", "organza", "Short ones"),
    ("ORG-003", "Veil of a Bride", "organza,ivory", "Ivory organza, hemmed by hand"),
    ("AGP-TUL-GLD-06", "Gold Tulle Six Yards", "tulle", "With a fine shine"),
    ("AGP-TUL-3PC", "Tulle in Three Pieces", "tulle", "For gele, ipele and train"),
];

/// What people type, and what they must see first; all of it, in any order, before anything else.
const QUERIES: [(&str, &[&str]); 68] = [
    // Whole words, in any case.
    ("kente", &["KEN-001", "KEN-002", "KEN-003", "KEN-004"]),
    ("KENTE", &["KEN-001", "KEN-002", "KEN-003", "KEN-004"]),
    ("lace", &["LAC-001", "LAC-002", "LAC-003", "LAC-004"]),
    ("brocade", &["BRO-001", "BRO-002"]),
    ("agbada", &["AGB-001"]),
    ("velvet", &["VEL-001", "FIL-001"]),
    ("beads", &["COR-001", "WAI-001"]),
    // Several words narrow.
    ("royal kente", &["KEN-001"]),
    ("kente royal", &["KEN-001"]),
    ("french lace", &["LAC-002"]),
    ("the lace of the french", &["LAC-002"]),
    ("coral beads", &["COR-001"]),
    ("gold brocade", &["BRO-002"]),
    ("mud cloth", &["BOG-001"]),
    // Beginnings, while typing.
    ("ken", &["KEN-001", "KEN-002", "KEN-003", "KEN-004"]),
    ("broc", &["BRO-001", "BRO-002"]),
    ("royal ken", &["KEN-001"]),
    ("guip", &["LAC-003"]),
    ("dash", &["DAS-001"]),
    ("isia", &["ISI-001"]),
    ("swiss vo", &["LAC-001"]),
    // Singular and plural.
    ("laces", &["LAC-001", "LAC-002", "LAC-003", "LAC-004"]),
    ("kaftans", &["KAF-001"]),
    ("wrappers", &["GEO-001"]),
    ("bead", &["COR-001", "WAI-001"]),
    ("slipper", &["SLI-001"]),
    ("button", &["BUT-001"]),
    ("headwraps", &["ANK-003"]),
    ("childrens dress", &["KID-001"]),
    // Accents, there and here.
    ("adire", &["ADI-001", "ADI-002"]),
    ("Àdìrẹ", &["ADI-001", "ADI-002"]),
    ("eleko", &["ADI-001"]),
    ("crepe", &["CRE-001"]),
    ("senorita", &["CRE-001"]),
    // With, without and instead of the hyphen.
    ("aso-oke", &["ASO-001", "ASO-002", "ASO-003", "ASO-004"]),
    ("aso oke", &["ASO-001", "ASO-002", "ASO-003", "ASO-004"]),
    ("asooke", &["ASO-001", "ASO-002", "ASO-003", "ASO-004"]),
    ("ASOOKE bridal", &["ASO-001"]),
    // Skus, whole, begun, and without signs.
    ("LAC-003", &["LAC-003"]),
    ("lac-003", &["LAC-003"]),
    ("lac003", &["LAC-003"]),
    ("KEN-00", &["KEN-001", "KEN-002", "KEN-003", "KEN-004"]),
    // Misspelt names of cloths.
    ("kennte", &["KEN-001", "KEN-002", "KEN-003", "KEN-004"]),
    ("knete", &["KEN-001", "KEN-002", "KEN-003", "KEN-004"]),
    ("kentey", &["KEN-001", "KEN-002", "KEN-003", "KEN-004"]),
    ("ankarra", &["ANK-001", "ANK-002", "ANK-003", "KID-001"]),
    ("brockade", &["BRO-001", "BRO-002"]),
    ("dasiki", &["DAS-001"]),
    ("agbda", &["AGB-001"]),
    ("gupiure lace", &["LAC-003"]),
    ("chifon", &["CHI-001"]),
    ("bogolanfinni", &["BOG-001"]),
    ("roayl kente", &["KEN-001"]),
    // What stands in the text only.
    ("cassava", &["ADI-001"]),
    ("raffia", &["SHU-001", "ADI-002"]),
    ("guinea fowl", &["ASO-004"]),
    ("wedding", &["ASO-001", "FAN-001"]),
    // The words as they follow each other, then all of them in the title, then elsewhere.
    ("ivory organza", &["ORG-001"]),
    ("ivory organza", &["ORG-001", "ORG-002"]),
    ("organza gloves", &["ORG-002"]),
    ("waist beads", &["WAI-001"]),
    ("three pieces", &["AGP-TUL-3PC"]),
    // Skus by their later parts, with spaces, in any order.
    ("GLD-06", &["AGP-TUL-GLD-06"]),
    ("gld 06", &["AGP-TUL-GLD-06"]),
    ("3PC", &["AGP-TUL-3PC"]),
    ("AGP TUL 3PC", &["AGP-TUL-3PC"]),
    ("agptulgld06", &["AGP-TUL-GLD-06"]),
    ("AGP-TUL", &["AGP-TUL-GLD-06", "AGP-TUL-3PC"]),
];

async fn shop_of_cloths() -> (TestApp, String) {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    for (sku, title, tags, text) in GOODS {
        let tags: Vec<&str> = tags.split(',').collect();
        let body = json!({"sku": sku, "title": title, "price": 1_000, "tags": tags, "shortDescription": text});
        shop.post("/products").token(&admin).json(&body).send().await.expect(201);
    }
    (shop, admin)
}

async fn search(shop: &TestApp, words: &str) -> Value {
    let query: String = url::form_urlencoded::byte_serialize(words.as_bytes()).collect();
    shop.get(&format!("/products/search?q={query}")).send().await.expect(200)
}

fn skus(data: &Value) -> Vec<String> {
    data["products"].as_array().unwrap().iter().map(|p| p["sku"].as_str().unwrap().to_owned()).collect()
}

/// Each query has its products before all others.
#[tokio::test]
async fn what_is_meant_comes_first() {
    let (shop, _) = shop_of_cloths().await;
    let mut wrong = Vec::new();
    for (words, expected) in QUERIES {
        let found = skus(&search(&shop, words).await);
        let mut first: Vec<&str> = found.iter().take(expected.len()).map(String::as_str).collect();
        let mut wanted = expected.to_vec();
        first.sort_unstable();
        wanted.sort_unstable();
        if first != wanted {
            wrong.push(format!("{words}: {found:?} instead of {expected:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), QUERIES.len(), wrong.join("\n"));
}

/// A title outweighs a tag, a tag a text; of two titles, the one that says less beside the word.
#[tokio::test]
async fn where_a_word_stands_decides() {
    let (shop, admin) = shop_of_cloths().await;
    for (sku, title, tag, text) in [
        ("P", "Patchwork", "x", ""),
        ("Q", "Blanket with a patchwork border and fringes", "x", ""),
        ("R", "Cushion", "patchwork", ""),
        ("S", "Rug", "x", "In the manner of patchwork"),
    ] {
        let body = json!({"sku": sku, "title": title, "price": 1, "tags": [tag], "shortDescription": text});
        shop.post("/products").token(&admin).json(&body).send().await.expect(201);
    }
    assert_eq!(skus(&search(&shop, "patchwork").await), ["P", "Q", "R", "S"]);
}

/// What was found is marked, with its accents, and text that looks like HTML is none.
#[tokio::test]
async fn what_was_found_is_marked() {
    let (shop, admin) = shop_of_cloths().await;
    let body = json!({"sku": "X", "title": "<b>Zebra</b> & co", "price": 1,
                      "shortDescription": "<img src=x onerror=alert(1)> a zebra & <i>co</i>"});
    shop.post("/products").token(&admin).json(&body).send().await.expect(201);
    let data = search(&shop, "zebra").await;
    let marked = &data["search"]["highlights"][0];
    assert_eq!(marked["productId"], data["products"][0]["id"]);
    assert_eq!(marked["title"], "&lt;b&gt;<mark>Zebra</mark>&lt;/b&gt; &amp; co");
    let text = marked["text"].as_str().unwrap();
    assert!(text.contains("<mark>zebra</mark>") && !text.contains("<i") && text.contains("&gt;"), "{text}");
    let body = json!({"sku": "Y", "title": "Yak", "price": 1, "description": "One\n\nyak\r\n\twool"});
    shop.post("/products").token(&admin).json(&body).send().await.expect(201);
    let data = search(&shop, "yak").await;
    let text = data["search"]["highlights"][0]["text"].as_str().unwrap();
    assert!(text.contains("<mark>yak</mark> wool") && !text.contains(['\n', '\r', '\t']), "{text}");
    let data = search(&shop, "eleko").await;
    assert_eq!(data["search"]["highlights"][0]["title"], "Àdìrẹ <mark>Ẹlẹ́kọ</mark>");
    let data = search(&shop, "laces").await;
    for marked in data["search"]["highlights"].as_array().unwrap() {
        assert!(marked["title"].as_str().unwrap().contains("<mark>Lace</mark>"), "{marked}");
    }
}

/// A variant is found by any part of its sku, before products whose titles have such words; one that is not sold is not.
#[tokio::test]
async fn variants_are_found_by_parts_of_their_skus() {
    let (shop, admin) = shop_of_cloths().await;
    let variants: Vec<Value> = ["AGP-LACE-RED-09", "AGP-LACE-BLU-12"]
        .iter()
        .map(|sku| json!({"sku": sku, "options": [{"name": "Colour", "value": sku}]}))
        .collect();
    let body = json!({"sku": "X", "title": "Cord", "price": 1, "variants": variants});
    let product = shop.post("/products").token(&admin).json(&body).send().await.expect(201)["product"].clone();
    for words in ["RED-09", "agp lace red-09", "lace 09", "AGPLACERED09", "agp-lace"] {
        assert_eq!(skus(&search(&shop, words).await)[0], "X", "{words}");
    }
    let (id, variant) = (product["id"].as_str().unwrap(), product["variants"][0]["id"].as_str().unwrap());
    let path = format!("/products/{id}/variants/{variant}?version=1");
    shop.delete(&path).token(&admin).send().await.expect(200);
    assert_eq!(skus(&search(&shop, "RED-09").await), Vec::<String>::new());
    assert_eq!(skus(&search(&shop, "BLU-12").await), ["X"]);
}

/// Whoever is given something else than he typed is told; so is whoever finds nothing, with words to try.
#[tokio::test]
async fn corrections_and_suggestions_are_told() {
    let (shop, _) = shop_of_cloths().await;
    let data = search(&shop, "roayl knete").await;
    assert_eq!(data["search"]["correctedQuery"], "royal kente");
    assert_eq!(skus(&data), ["KEN-001"]);
    let data = search(&shop, "kente").await;
    assert_eq!((&data["search"]["correctedQuery"], &data["search"]["suggestions"]), (&Value::Null, &json!([])));
    let data = search(&shop, "kentleman").await;
    assert_eq!((&data["products"], &data["search"]["correctedQuery"]), (&json!([]), &Value::Null));
    assert!(data["search"]["suggestions"].as_array().unwrap().contains(&json!("kente")), "{data:#}");
    let data = search(&shop, "zzqqxx").await;
    assert_eq!((&data["products"], &data["search"]["suggestions"]), (&json!([]), &json!([])));
    // A second page of what was corrected is of the same.
    let first = shop.get("/products/search?q=knete&limit=3").send().await.expect(200);
    let second = shop.get("/products/search?q=knete&limit=3&page=2").send().await;
    assert_eq!(second.body["pagination"]["total"], 5);
    let mut all = [skus(&first), skus(&second.expect(200))].concat();
    all.sort();
    assert_eq!(all, ["KEN-001", "KEN-002", "KEN-003", "KEN-004", "THR-001"]);
    // Behind the end of what was found nothing else is meant.
    let behind = shop.get("/products/search?q=kente&page=9").send().await.expect(200);
    assert_eq!((&behind["products"], &behind["search"]["correctedQuery"]), (&json!([]), &Value::Null));
}

/// While somebody types, words are completed and products named.
#[tokio::test]
async fn typing_is_helped() {
    let (shop, _) = shop_of_cloths().await;
    let suggest = async |words: &str| {
        let query: String = url::form_urlencoded::byte_serialize(words.as_bytes()).collect();
        shop.get(&format!("/products/suggestions?q={query}")).send().await.expect(200)
    };
    let data = suggest("ken").await;
    assert_eq!(data["words"][0], "kente");
    assert_eq!(data["products"].as_array().unwrap().len(), 5);
    // What stands before the last word stays as it was typed; a last word that nothing begins with is replaced.
    let data = suggest("dress for the child").await;
    assert_eq!(data["words"], json!(["dress for the children"]));
    let data = suggest("blue kentw").await;
    assert!(data["words"].as_array().unwrap().contains(&json!("blue kente")), "{data:#}");
    let data = suggest("royal K").await;
    let words: Vec<&str> = data["words"].as_array().unwrap().iter().map(|w| w.as_str().unwrap()).collect();
    assert!(words.contains(&"royal kente"), "{words:?}");
    assert_eq!(data["products"][0]["slug"], "royal-kente-bonwire");
    let answer = shop.get("/products/suggestions?q=%25").send().await;
    assert_eq!(answer.expect_error(400, "VALIDATION_ERROR"), ["q"]);
}

/// Words are searched among what the other filters keep, and other orders than relevance hold.
#[tokio::test]
async fn a_search_goes_with_filters_and_orders() {
    let (shop, admin) = shop_of_cloths().await;
    let body = json!({"sku": "Z", "title": "Kente Zigzag", "price": 5, "tags": ["kente"]});
    shop.post("/products").token(&admin).json(&body).send().await.expect(201);
    let list = async |query: &str| skus(&shop.get(&format!("/products?{query}")).send().await.expect(200));
    assert_eq!(list("search=kente&maxPrice=10").await, ["Z"]);
    assert_eq!(list("search=kente&sortBy=price").await[0], "Z");
    assert_eq!(list("search=kente&sortBy=title").await[0], "KEN-003");
    assert_eq!(list("search=kente&tags=royal").await, ["KEN-001"]);
    // Archived and hidden products are not found, not even by their skus.
    let id = shop.get("/products/kente-zigzag").send().await.expect(200)["product"]["id"].as_str().unwrap().to_owned();
    shop.delete(&format!("/products/{id}")).token(&admin).send().await.expect(200);
    assert!(!list("search=kente").await.contains(&"Z".to_owned()));
    assert_eq!(list("search=zigzag").await, Vec::<String>::new());
}
