use chrono::NaiveDate;
use proptest::prelude::*;

use super::super::model::{ImportedProduct, Severity};
use super::super::{Format, Options, Products, detect};
use super::*;

const HEAD: &str = "ID,Type,SKU,Name,Published,Is featured?,Visibility in catalog,Short description,Description,\
    Date sale price starts,Date sale price ends,In stock?,Stock,Weight (kg),Length (cm),Width (cm),Sale price,\
    Regular price,Categories,Tags,Images,Parent,Position,Attribute 1 name,Attribute 1 value(s),Attribute 1 visible,\
    Attribute 1 global,Attribute 2 name,Attribute 2 value(s)\n";

fn options() -> Options {
    Options { format: None, exponent: 2, today: NaiveDate::from_ymd_opt(2026, 6, 15).unwrap() }
}

fn groups(file: impl AsRef<[u8]>) -> Vec<ProductGroup> {
    super::super::read(&file.as_ref(), &options()).unwrap().collect::<Result<_, _>>().unwrap()
}

/// A file with the full heading row; each row is given by some of its cells.
fn file(rows: &[&[(&str, &str)]]) -> String {
    let headings: Vec<&str> = HEAD.trim_end().split(',').collect();
    let mut file = HEAD.to_owned();
    for row in rows {
        let cell = |heading: &&str| {
            let text = row.iter().find(|(name, _)| name == heading).map_or("", |(_, text)| text);
            format!("\"{}\"", text.replace('"', "\"\""))
        };
        assert!(row.iter().all(|(name, _)| headings.contains(name)), "{row:?}");
        file.push_str(&headings.iter().map(cell).collect::<Vec<_>>().join(","));
        file.push('\n');
    }
    file
}

fn only(groups: Vec<ProductGroup>) -> ImportedProduct {
    let [group] = groups.try_into().unwrap();
    group.product.unwrap_or_else(|| panic!("{:#?}", group.problems))
}

fn found(groups: &[ProductGroup], severity: Severity) -> Vec<(u64, &str)> {
    let problems = groups.iter().flat_map(|g| &g.problems).filter(|p| p.severity == severity && p.row > 1);
    problems.map(|p| (p.row, p.message.as_str())).collect()
}

const SHIRT: &[(&str, &str)] = &[
    ("ID", "7"),
    ("Type", "simple"),
    ("SKU", "S-1"),
    ("Name", "Shirt"),
    ("Published", "1"),
    ("Regular price", "20"),
    ("Stock", "5"),
];

fn shirt<'a>(changes: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let kept = SHIRT.iter().filter(|(name, _)| !changes.iter().any(|(changed, _)| changed == name));
    kept.copied().chain(changes.iter().copied()).collect()
}

#[test]
fn a_simple_product_is_read_whole() {
    let product = only(groups(file(&[&shirt(&[
        ("Is featured?", "1"),
        ("Short description", "'=Soft"),
        ("Description", "<p>One</p>\\n<p>Two</p> \\\\n"),
        ("Weight (kg)", "0,25"),
        ("Length (cm)", "10"),
        ("Width (cm)", "2,5"),
        ("Sale price", "15,50"),
        ("Categories", "Men > Hats \\, caps &amp; more, Sale"),
        ("Tags", "blue, two\\, three"),
        ("Images", "https://a.example/1.jpg, https://a.example/2.jpg,local.jpg"),
        ("Attribute 1 name", "Color"),
        ("Attribute 1 value(s)", "Gray, Blue"),
    ])])));
    assert_eq!((product.key.as_deref(), product.sku.as_deref()), (Some("woocommerce:S-1"), Some("S-1")));
    assert_eq!((product.handle.as_str(), product.title.as_str()), ("shirt", "Shirt"));
    assert_eq!(product.short_description.as_deref(), Some("=Soft"));
    assert_eq!(product.description.as_deref().unwrap(), "One\n\nTwo\n\n\\n");
    let measures = product.measures.as_ref().unwrap();
    assert_eq!((measures.length, measures.width, measures.unit.as_str()), (Some(10.0), Some(2.5), "cm"));
    assert_eq!(product.category_path, ["Men", "Hats , caps & more"]);
    assert_eq!(product.tags.as_deref().unwrap(), ["blue", "two, three"]);
    assert_eq!(product.images.len(), 2);
    assert_eq!(product.metadata.as_deref(), Some(r#"{"attributes":{"Color":["Gray","Blue"]}}"#));
    assert_eq!((product.is_active, product.featured), (Some(true), Some(true)));
    let variant = &product.variants[0];
    assert_eq!((variant.price_minor, variant.compare_at_minor), (1550, Some(2000)));
    assert_eq!((variant.on_hand, variant.weight_grams, variant.sku.as_deref()), (Some(5), Some(250), Some("S-1")));
    assert!(variant.options.is_empty());
}

/// Two cloths whose variations stand before, far after and between them; parents by article number and by number.
#[test]
fn variations_find_their_parent_wherever_they_stand() {
    let variation = |parent: &'static str, sku: &'static str, colour: &'static str, position: &'static str| {
        vec![
            ("Type", "variation"),
            ("SKU", sku),
            ("Name", "x"),
            ("Published", "1"),
            ("Regular price", "9"),
            ("Stock", "2"),
            ("Parent", parent),
            ("Position", position),
            ("Attribute 1 name", "colour"),
            ("Attribute 1 value(s)", colour),
        ]
    };
    let parent = |id: &'static str, sku: &'static str, name: &'static str| {
        vec![
            ("ID", id),
            ("Type", "variable"),
            ("SKU", sku),
            ("Name", name),
            ("Published", "1"),
            ("Weight (kg)", "1"),
            ("Attribute 1 name", "Colour"),
            ("Attribute 1 value(s)", "Gold, Blue"),
        ]
    };
    let read = groups(file(&[
        &variation("K", "K-B", "Blue", "2"),
        &parent("11", "K", "Kente"),
        &variation("id:12", "A-1", "Gold", "1"),
        SHIRT,
        &variation("K", "K-G", "Gold", "1"),
        &parent("12", "", "Adire"),
        &variation("id:12", "A-2", "Blue", "2"),
    ]));
    let products: Vec<_> = read.iter().map(|group| group.product.as_ref().unwrap()).collect();
    let told: Vec<_> =
        products.iter().map(|p| (p.handle.as_str(), p.key.as_deref().unwrap(), p.variants.len())).collect();
    assert_eq!(told, [("shirt", "woocommerce:S-1", 1), ("kente", "woocommerce:K", 2), ("adire", "woocommerce:#12", 2)]);
    let kente = products[1];
    let skus: Vec<_> = kente.variants.iter().map(|v| (v.sku.as_deref().unwrap(), v.row)).collect();
    assert_eq!(skus, [("K-G", 6), ("K-B", 2)]);
    assert_eq!(
        (kente.variants[0].options[0].name.as_str(), kente.variants[0].options[0].value.as_str()),
        ("Colour", "Gold")
    );
    assert_eq!(kente.variants[0].weight_grams, Some(1000), "a variation weighs what its product does");
    assert!(kente.metadata.is_none());
}

#[test]
fn variations_without_parent_and_parents_without_variations_are_errors() {
    let read = groups(file(&[
        &[("Type", "variation"), ("SKU", "X-1"), ("Parent", "nobody"), ("Regular price", "1")],
        &[("Type", "variation"), ("SKU", "X-2"), ("Regular price", "1")],
        &[("ID", "3"), ("Type", "variable"), ("Name", "Empty")],
        &[("ID", "4"), ("Type", "grouped"), ("Name", "Set")],
        &shirt(&[("SKU", "A"), ("ID", "5"), ("Regular price", "")]),
        &shirt(&[("SKU", "A"), ("ID", "6")]),
        &shirt(&[("SKU", "B"), ("ID", "5")]),
        &shirt(&[]),
    ]));
    let rows: Vec<_> = found(&read, Severity::Error).iter().map(|(row, _)| *row).collect();
    assert_eq!(rows, [2, 3, 4, 5, 6, 7, 8]);
    assert_eq!(read.iter().filter(|group| group.product.is_some()).count(), 1);
}

#[test]
fn a_sale_holds_on_its_days() {
    for (from, to, price) in [
        ("", "", 1500),
        ("2026-06-15", "2026-06-15", 1500),
        ("2026-06-01 00:00:00", "", 1500),
        ("2026-06-16", "", 2000),
        ("", "2026-06-14", 2000),
        ("soon", "", 2000),
    ] {
        let changes = [("Sale price", "15"), ("Date sale price starts", from), ("Date sale price ends", to)];
        let variant = only(groups(file(&[&shirt(&changes)]))).variants.remove(0);
        assert_eq!(variant.price_minor, price, "{from} to {to}");
        assert_eq!(variant.compare_at_minor, (price == 1500).then_some(2000));
    }
    let sold_higher = only(groups(file(&[&shirt(&[("Sale price", "25")])])));
    assert_eq!((sold_higher.variants[0].price_minor, sold_higher.variants[0].compare_at_minor), (2000, None));
}

#[test]
fn what_is_not_for_sale_here_is_unpublished() {
    for (changes, active) in [
        (&[("Published", "0")][..], false),
        (&[("Published", "-1")], false),
        (&[("Published", "'-1")], false),
        (&[("Published", "perhaps")], false),
        (&[("Published", "")], true),
        (&[("Visibility in catalog", "hidden")], false),
        (&[("Visibility in catalog", "search")], true),
        (&[("Type", "external")], false),
        (&[("Type", "simple, downloadable, virtual")], true),
        (&[("Type", "subscription")], true),
    ] {
        assert_eq!(only(groups(file(&[&shirt(changes)]))).is_active, Some(active), "{changes:?}");
    }
}

#[test]
fn stock_is_counted_once() {
    for (stock, in_stock, on_hand, warnings) in [
        ("", "1", None, 1),
        ("", "0", None, 0),
        ("", "backorder", None, 1),
        ("'-3", "1", Some(0), 1),
        ("4.0", "1", Some(4), 0),
    ] {
        let read = groups(file(&[&shirt(&[("Stock", stock), ("In stock?", in_stock)])]));
        assert_eq!(found(&read, Severity::Warning).len(), warnings, "{stock} {in_stock}");
        assert_eq!(only(read).variants[0].on_hand, on_hand);
    }
    let variation = |sku: &'static str, size: &'static str| {
        vec![
            ("Type", "variation"),
            ("SKU", sku),
            ("Regular price", "9"),
            ("Stock", "parent"),
            ("Parent", "P"),
            ("Attribute 1 name", "Size"),
            ("Attribute 1 value(s)", size),
        ]
    };
    let parent: &[(&str, &str)] = &[("Type", "variable"), ("SKU", "P"), ("Name", "P"), ("Stock", "10")];
    let read = groups(file(&[parent, &variation("P-S", "S"), &variation("P-M", "M")]));
    assert_eq!(found(&read, Severity::Warning).len(), 1);
    let counts: Vec<_> = only(read).variants.iter().map(|v| v.on_hand).collect();
    assert_eq!(counts, [Some(10), Some(0)]);
}

#[test]
fn variations_that_stand_for_every_value() {
    let variation = |sku: &'static str, colour: &'static str, size: &'static str| {
        vec![
            ("Type", "variation"),
            ("SKU", sku),
            ("Regular price", "9"),
            ("Stock", "1"),
            ("Parent", "P"),
            ("Attribute 1 name", "Color"),
            ("Attribute 1 value(s)", colour),
            ("Attribute 2 name", "Size"),
            ("Attribute 2 value(s)", size),
        ]
    };
    let parent: &[(&str, &str)] = &[
        ("Type", "variable"),
        ("SKU", "P"),
        ("Name", "P"),
        ("Attribute 1 name", "Color"),
        ("Attribute 1 value(s)", "Red, Blue"),
        ("Attribute 2 name", "Size"),
        ("Attribute 2 value(s)", "S, M"),
    ];
    let options = |read: &[ProductGroup]| -> Vec<Vec<String>> {
        let product = read[0].product.as_ref().unwrap();
        product.variants.iter().map(|v| v.options.iter().map(|o| o.value.clone()).collect()).collect()
    };
    let read = groups(file(&[parent, &variation("1", "Red", ""), &variation("2", "Blue", "")]));
    assert_eq!(options(&read), [["Red"], ["Blue"]]);
    assert_eq!(found(&read, Severity::Warning).len(), 2);
    let read =
        groups(file(&[parent, &variation("1", "Red", ""), &variation("2", "Blue", "M"), &variation("3", "blue", "m")]));
    assert_eq!(options(&read), [["Red", "Any"], ["Blue", "M"]]);
    assert_eq!(found(&read, Severity::Warning).last().unwrap().0, 5, "the same again is left out");
}

#[test]
fn products_of_one_name_have_addresses_of_their_own() {
    let read = groups(file(&[
        &shirt(&[]),
        &shirt(&[("SKU", ""), ("ID", "8")]),
        &shirt(&[("SKU", "X"), ("ID", "9"), ("Name", "衬衫")]),
    ]));
    let handles: Vec<_> = read.iter().map(|group| group.handle.as_str()).collect();
    assert_eq!(handles, ["shirt-s-1", "shirt-8", "x"]);
}

#[test]
fn separators_and_headings_vary() {
    let file = "\u{feff}\"Type\";\"SKU\";\"Name\";\"Regular price\";\"Weight (lbs)\";\"Meta: x\"\r\n\
                simple;A;\"Wrap; long\";\"1.234,50\";.5;y\r\n;B;Scarf;7;;\r\n";
    assert_eq!(detect(file.as_bytes()).unwrap(), Format::WooCommerce);
    let read = groups(file);
    let product = read[0].product.as_ref().unwrap();
    assert_eq!((product.title.as_str(), product.variants[0].price_minor), ("Wrap; long", 123_450));
    assert_eq!(product.variants[0].weight_grams, Some(227));
    assert_eq!(read[1].product.as_ref().unwrap().variants[0].price_minor, 700);
    let broken = b"ID,Name,Regular price\n1,Caf\xE9,5\n2,Tea,5\n3,Milk\n";
    let read = groups(broken);
    assert_eq!(found(&read, Severity::Error).iter().map(|(row, _)| *row).collect::<Vec<_>>(), [2, 4]);
    assert_eq!(read.iter().filter(|group| group.product.is_some()).count(), 1);
}

#[test]
fn formats_are_told_apart() {
    for (file, format) in [
        ("Handle,Title,Body (HTML),Variant Price\n", Format::Shopify),
        ("Title,URL handle,Description,Price,SKU\n", Format::Shopify),
        ("ID,Type,SKU,Name,Published\n", Format::WooCommerce),
        ("Slug;SKU;Title;Variant Price\n", Format::Agape),
        ("\u{feff}\n{\"slug\": \"x\"}\n", Format::Jsonl),
    ] {
        assert_eq!(detect(file.as_bytes()).unwrap(), format, "{file}");
    }
    // An order, a customer, a list of anything.
    for other in ["Colour,Size\n", "Name,Email,Financial Status,Total\n", "First Name,Last Name,Email,Tags\n"] {
        let message = detect(other.as_bytes()).unwrap_err().to_string();
        assert!(
            message.contains(other.trim_end().split(',').next().unwrap()) && !message.contains("Handle"),
            "{message}"
        );
    }
    let latin = b"ID,Typ,Name,Ver\xF6ffentlicht,Regul\xE4rer Preis\n1,simple,A,1,5\n";
    assert!(detect(latin).unwrap_err().to_string().contains("CSV UTF-8"));
    // WooCommerce in a language that is not read: its user is told of WooCommerce only.
    let polish = "ID,Rodzaj,SKU,Nazwa,Opublikowano,Tags,Meta: _x\n1,simple,A,Chusta,1,,\n";
    assert_eq!(detect(polish.as_bytes()).unwrap(), Format::WooCommerce);
    let message = super::super::read(&polish.as_bytes(), &options()).unwrap_err().to_string();
    assert!(message.contains("WooCommerce") && message.contains("English"), "{message}");
    assert!(!message.contains("Handle") && !message.contains("Shopify"), "{message}");
    for (bytes, word) in [(&b""[..], "empty"), (b"PK\x03\x04", "workbook"), (b"<html>", "web page"), (b" \n", "empty")]
    {
        assert!(detect(bytes).unwrap_err().to_string().contains(word));
    }
}

/// The same two products, a variable one and a simple one, as shops in six languages export them.
#[test]
fn headings_of_other_languages_are_read() {
    for headings in [
        "ID,Typ,Artikelnummer,Name,Veröffentlicht,Kurzbeschreibung,Beschreibung,Vorrätig?,Bestand,Gewicht (kg),\
         Angebotspreis,Regulärer Preis,Kategorien,Schlagwörter,Bilder,Übergeordnetes Produkt,Position,Attribut 1 Name,\
         Attribut 1 Wert(e)",
        "ID,Type,UGS,Nom,Publié,Description courte,Description,En stock ?,Stock,Poids (kg),Tarif promo,Tarif régulier,\
         Catégories,Étiquettes,Images,Parent,Position,Nom de l’attribut 1,Valeur(s) de l’attribut 1",
        "ID,Tipo,SKU,Nombre,Publicado,Descripción corta,Descripción,¿Existencias?,Inventario,Peso (kg),Precio rebajado,\
         Precio normal,Categorías,Etiquetas,Imágenes,Superior,Posición,Nombre del atributo 1,Valor(es) del atributo 1",
        "ID,Tipo,COD,Nome,Pubblicato,Breve descrizione,Descrizione,In stock?,Magazzino,Peso (kg),Prezzo in offerta,\
         Prezzo di listino,Categorie,Tag,Immagine,Genitore,Posizione,Attributo 1 nome,Attributo 1 valuta(e)",
        "ID,Tipo,SKU,Nome,Publicado,Descrição curta,Descrição,Em estoque?,Estoque,Peso (kg),Preço promocional,Preço,\
         Categorias,Tags,Imagens,Ascendente,Posição,Nome do atributo 1,Valores do atributo 1",
        "ID,Type,Artikelnummer,Naam,Gepubliceerd,Korte omschrijving,Beschrijving,Op voorraad?,Voorraad,Gewicht (kg),\
         Actieprijs,Reguliere prijs,Categorieën,Tags,Afbeeldingen,Hoofd,Positie,Naam eigenschap 1,Waarde eigenschap 1",
    ] {
        let file = format!(
            "{headings}\n\
             1,variable,K,Kente,1,Short,Long,1,,2,,,Cloth,new,https://a.example/k.jpg,,0,Colour,\"Gold, Blue\"\n\
             2,variation,K-G,Kente,1,,,1,5,,,100,,,,K,1,Colour,Gold\n\
             3,variation,K-B,Kente,1,,,1,3,,90,110,,,,id:1,2,Colour,Blue\n\
             4,simple,S,Scarf,1,,,1,7,0.5,,20,Scarves,,,,0,,\n"
        );
        assert_eq!(detect(file.as_bytes()).unwrap(), Format::WooCommerce, "{headings}");
        let read = groups(&file);
        assert!(read.iter().all(|group| group.problems.is_empty()), "{headings}: {:#?}", read[0].problems);
        let products: Vec<_> = read.iter().map(|group| group.product.as_ref().unwrap()).collect();
        let kente = products[0];
        assert_eq!((kente.title.as_str(), kente.description.as_deref()), ("Kente", Some("Long")));
        assert_eq!((kente.short_description.as_deref(), kente.category.as_deref()), (Some("Short"), Some("Cloth")));
        let variants: Vec<_> = kente
            .variants
            .iter()
            .map(|v| (v.sku.as_deref().unwrap(), v.options[0].value.as_str(), v.price_minor, v.on_hand, v.weight_grams))
            .collect();
        assert_eq!(
            variants,
            [("K-G", "Gold", 10_000, Some(5), Some(2_000)), ("K-B", "Blue", 9_000, Some(3), Some(2_000))],
            "{headings}"
        );
        let scarf = &products[1].variants[0];
        assert_eq!((scarf.on_hand, scarf.weight_grams, scarf.price_minor), (Some(7), Some(500), 2_000));
    }
}

proptest! {
    #[test]
    fn arbitrary_cells_never_panic_and_a_product_has_no_errors(
        cells in proptest::collection::vec("(simple|variable|variation|id:1|1|[a-z0-9 ',;\"\\n=.<>\\\\-]{0,8})", 0..200),
    ) {
        let mut file = HEAD.as_bytes().to_vec();
        for row in cells.chunks(29) {
            file.extend_from_slice(row.join(",").as_bytes());
            file.push(b'\n');
        }
        let bytes = file.as_slice();
        if let Ok(reader) = super::super::read(&bytes, &options()) {
            prop_assert!(matches!(reader, Products::WooCommerce(_)));
            for group in reader.flatten() {
                let refused = group.problems.iter().any(|p| p.severity == Severity::Error);
                prop_assert_eq!(group.product.is_some(), !refused);
            }
        }
    }
}
