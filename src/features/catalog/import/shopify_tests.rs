use proptest::prelude::*;

use super::super::model::{ImportedProduct, RowProblem, Severity};
use super::*;

/// The first generation of headings, as far as these tests need them.
const FIRST: &str = "Handle,Title,Body (HTML),Vendor,Type,Tags,Published,\
    Option1 Name,Option1 Value,Option2 Name,Option2 Value,Variant SKU,Variant Grams,\
    Variant Inventory Qty,Variant Price,Variant Compare At Price,Variant Barcode,\
    Image Src,Image Position,Image Alt Text,Variant Image\n";

fn groups(file: impl AsRef<[u8]>) -> Vec<ProductGroup> {
    read(file.as_ref(), 2).unwrap().collect::<Result<_, _>>().unwrap()
}

fn refusal(file: impl AsRef<[u8]>) -> String {
    read(file.as_ref(), 2).unwrap_err().to_string()
}

/// A file with the heading row `Handle,Title,Variant Price,<extra>`.
fn small(extra: &str, rows: &[&str]) -> Vec<ProductGroup> {
    let comma = if extra.is_empty() { "" } else { "," };
    groups(format!("Handle,Title,Variant Price{comma}{extra}\n{}\n", rows.join("\n")))
}

fn only(groups: Vec<ProductGroup>) -> ImportedProduct {
    let [group] = groups.try_into().unwrap();
    group.product.unwrap()
}

/// Rows, columns and the starts of messages of all problems of a kind, below the heading row.
fn found(groups: &[ProductGroup], severity: Severity) -> Vec<(u64, &str, &str)> {
    let of = |p: &'_ RowProblem| p.severity == severity && p.row > 1;
    groups
        .iter()
        .flat_map(|g| &g.problems)
        .filter(|p| of(p))
        .map(|p| (p.row, p.column.as_deref().unwrap_or(""), p.message.as_str()))
        .collect()
}

fn errors(groups: &[ProductGroup]) -> Vec<(u64, &str, &str)> {
    found(groups, Severity::Error)
}

fn warnings(groups: &[ProductGroup]) -> Vec<(u64, &str, &str)> {
    found(groups, Severity::Warning)
}

#[test]
fn first_generation_with_variants_and_further_pictures() {
    let product = only(groups(format!(
        "{FIRST}\
        wax-wrap,Wax Wrap,<p>Six yards.</p>,Market Row,Wrappers,\"blue, wax, Blue\",TRUE,\
        Colour,Blue,Size,S,'WX-1,450,4,\"12,500.00\",\"15,000\",'0123,\
        https://pics.example/2.jpg,2,Back,https://pics.example/2.jpg\n\
        wax-wrap,,,,,,,,Blue,,M,WX-2,450.6,0,12500,,,https://pics.example/1.jpg,1,Front,\n\
        wax-wrap,,,,,,,,,,,,,,,,,https://pics.example/3.jpg,3,,\n"
    )));
    assert_eq!(product.row, 2);
    assert_eq!(product.handle, "wax-wrap");
    assert_eq!(product.description.as_deref(), Some("Six yards."));
    assert_eq!(product.vendor.as_deref(), Some("Market Row"));
    assert_eq!(product.category.as_deref(), Some("Wrappers"));
    assert_eq!(product.tags.unwrap(), ["blue", "wax"]);
    assert_eq!(product.is_active, Some(true));
    let urls: Vec<_> = product.images.iter().map(|i| (i.position, i.row, i.url.as_str(), i.alt.as_deref())).collect();
    assert_eq!(
        urls,
        [
            (1, 3, "https://pics.example/1.jpg", Some("Front")),
            (2, 2, "https://pics.example/2.jpg", Some("Back")),
            (3, 4, "https://pics.example/3.jpg", None),
        ]
    );
    let [first, second] = product.variants.as_slice() else {
        panic!("two variants expected");
    };
    assert_eq!(first.sku.as_deref(), Some("WX-1"));
    assert_eq!(first.price_minor, 1_250_000);
    assert_eq!(first.compare_at_minor, Some(1_500_000));
    assert_eq!(first.barcode.as_deref(), Some("0123"));
    assert_eq!(first.weight_grams, Some(450));
    assert_eq!(first.image_url.as_deref(), Some("https://pics.example/2.jpg"));
    assert_eq!(second.row, 3);
    assert_eq!(second.weight_grams, Some(451));
    assert_eq!(second.on_hand, Some(0));
    let options: Vec<_> = second.options.iter().map(|o| (o.name.as_str(), o.value.as_str())).collect();
    assert_eq!(options, [("Colour", "Blue"), ("Size", "M")]);
}

#[test]
fn second_generation_has_a_category_path_and_a_status() {
    let read = |status: &str, kind: &str| {
        only(groups(format!(
            "Handle,Title,Product Category,Type,Published,Variant Price,Cost per item,Status\n\
            cap,Cap,Apparel > Hats & Caps > Fila,{kind},TRUE,10,4,{status}\n"
        )))
    };
    let cap = read("active", "");
    assert_eq!(cap.category_path, ["Apparel", "Hats & Caps", "Fila"]);
    assert_eq!(cap.category.as_deref(), Some("Fila"));
    assert_eq!(cap.is_active, Some(true));
    assert_eq!(read("draft", "Caps").category.as_deref(), Some("Caps"));
    for status in ["draft", "Archived", "somehow"] {
        assert_eq!(read(status, "").is_active, Some(false), "{status}");
    }
}

#[test]
fn third_generation_goes_by_other_headings() {
    let product = only(groups(
        "Title,URL handle,Description,Vendor,Product category,Type,Tags,\
        Published on online store,Status,SKU,Barcode,Option1 name,Option1 value,\
        Option1 Linked To,Price,Compare-at price,Charge tax,Inventory tracker,\
        Inventory quantity,Weight value (grams),Product image URL,Image position,\
        Image alt text,Variant image URL,Gift card\n\
        Indigo Cloth,indigo-cloth,Resist dyed.,,,,,TRUE,Active,IN-1,,Yards,5,,\
        9500,12000,TRUE,shopify,7,800,https://pics.example/i.jpg,1,Indigo,\
        https://pics.example/v.jpg,FALSE\n",
    ));
    let [variant] = product.variants.as_slice() else {
        panic!("one variant expected");
    };
    assert_eq!(product.handle, "indigo-cloth");
    assert_eq!(product.description.as_deref(), Some("Resist dyed."));
    assert_eq!(product.is_active, Some(true));
    assert_eq!(variant.sku.as_deref(), Some("IN-1"));
    assert_eq!(variant.price_minor, 950_000);
    assert_eq!(variant.compare_at_minor, Some(1_200_000));
    assert_eq!(variant.on_hand, Some(7));
    assert_eq!(variant.weight_grams, Some(800));
    assert_eq!(variant.image_url.as_deref(), Some("https://pics.example/v.jpg"));
    assert_eq!(product.images.len(), 1);
}

/// Columns that shops have besides: of markets, of metafields, of other programs. And rows as shops have them.
#[test]
fn files_of_real_shops_are_read() {
    let read = groups(
        "Handle,Title,Body (HTML),Vendor,Product Category,Type,Tags,Published,Option1 Name,Option1 Value,\
         Option1 Linked To,Option2 Name,Option2 Value,Option2 Linked To,Variant SKU,Variant Grams,\
         Variant Inventory Tracker,Variant Inventory Qty,Variant Inventory Policy,Variant Price,\
         Variant Compare At Price,Unit Price Total Measure,Image Src,Image Position,Image Alt Text,Gift Card,\
         SEO Title,Color (product.metafields.shopify.color-pattern),Care (product.metafields.custom.title),\
         Variant Image,Variant Weight Unit,Cost per item,Included / Nigeria,Price / Nigeria,\
         Compare At Price / Nigeria,Status\n\
         wrap,Wrap,,Row,,,,true,Color,Gold,product.metafields.shopify.color-pattern,Size,S,,W-1,200.5,shopify,-4,\
         deny,12000,0.00,,https://p.example/1.jpg,1,,false,,gold,,,kg,4000,true,9000,,active\n\
         wrap,,,,,,,,,Blue,,,S,,W-2,0,shopify,3,continue,12000.00,15000,,https://p.example/2.jpg,2,,,,,,,kg,,,,,\n\
         wrap,,,,,,,,,,,,,,,,,,,,,,https://p.example/3.jpg,3,,,,,,,,,,,,\n\
         old,Old,,,,,,true,Title,Default Title,,,,,O-1,0,shopify,1,deny,5,,,,,,false,,,,,kg,,,,,archived\n\
         hid,Hid,,,,,,true,Title,Default Title,,,,,H-1,0,shopify,1,deny,5,,,,,,false,,,,,kg,,,,,unlisted\n\
         card,Card,,,,,,true,Denominations,10,,,,,,0,,0,deny,10,,,,,,true,,,,,kg,,,,,active\n",
    );
    assert_eq!(errors(&read), []);
    let products: Vec<_> = read.iter().map(|group| group.product.as_ref().unwrap()).collect();
    let wrap = products[0];
    assert_eq!((wrap.variants.len(), wrap.images.len(), wrap.is_active), (2, 3, Some(true)));
    assert_eq!(wrap.variants.iter().map(|v| v.on_hand).collect::<Vec<_>>(), [Some(0), Some(3)]);
    assert_eq!(wrap.variants.iter().map(|v| v.compare_at_minor).collect::<Vec<_>>(), [None, Some(1_500_000)]);
    assert_eq!(wrap.variants[1].options.iter().map(|o| o.name.as_str()).collect::<Vec<_>>(), ["Color", "Size"]);
    assert!(products[1..].iter().all(|product| product.is_active == Some(false)));
    let told = &read[0].problems[0];
    assert_eq!((told.row, told.severity), (1, Severity::Warning));
    for heading in ["Price / Nigeria", "Included / Nigeria", "Option1 Linked To", "SEO Title", "Variant Weight Unit"] {
        assert!(told.message.contains(heading), "{}", told.message);
    }
}

/// Columns that are not read, and stock that is not there, are told once, in the heading row.
#[test]
fn headings_are_matched_loosely_and_others_reported() {
    let read = groups("HANDLE , title,VARIANT_PRICE,Colour of the year\na,A,1,teal\nb,B,1,teal\n");
    let told: Vec<_> = read.iter().flat_map(|group| &group.problems).map(|p| (p.row, p.message.as_str())).collect();
    assert_eq!(told.len(), 2, "{told:?}");
    assert_eq!(told[0], (1, "Columns that are not read: Colour of the year."));
    assert!(told[1].0 == 1 && told[1].1.contains("no column of stock"));
    assert_eq!(groups(format!("{FIRST}a,A,,,,,,,,,,,,,1,,,,,,\n"))[0].problems, []);
}

/// What a file has no column for is not said, and stays as it is; what it has an empty cell for is empty.
#[test]
fn what_has_no_column_is_not_said() {
    let product = only(small("", &["a,A,1"]));
    assert_eq!((product.description, product.vendor, product.tags), (None, None, None));
    assert_eq!((product.is_active, product.measures, product.variants[0].on_hand), (None, None, None));
    let product = only(small("Body (HTML),Vendor,Tags,Published,Featured", &["a,A,1,,,,,"]));
    assert_eq!((product.description.as_deref(), product.vendor.as_deref()), (Some(""), Some("")));
    assert_eq!((product.tags, product.is_active, product.featured), (Some(vec![]), Some(true), Some(false)));
}

/// Whatever the API refuses of a product is refused here, in the row and the column where it stands.
#[test]
fn what_the_api_refuses_is_refused() {
    let long = |n: usize| "x".repeat(n);
    for (extra, row, at) in [
        ("Vendor", format!("a,A,1,{}", long(121)), (2, "Vendor")),
        ("Tags", format!("a,A,1,{}", long(61)), (2, "Tags")),
        ("Type", format!("a,A,1,{}", long(121)), (2, "Type")),
        ("Variant SKU", format!("a,A,1,{}", long(65)), (2, "Variant SKU")),
        ("Variant Barcode", format!("a,A,1,{}", long(65)), (2, "Variant Barcode")),
        ("Variant Grams", "a,A,1,10000001".into(), (2, "Variant Grams")),
        ("Variant Inventory Qty", "a,A,1,1000001".into(), (2, "Variant Inventory Qty")),
        ("Short Description", format!("a,A,1,{}", long(1_001)), (2, "Short Description")),
        ("Body (HTML)", format!("a,A,1,{}", long(50_001)), (2, "Body (HTML)")),
        ("Image Src,Image Alt Text", format!("a,A,1,https://a.example/x,{}", long(301)), (2, "Image Alt Text")),
        ("Option1 Name,Option1 Value", format!("a,A,1,Size,{}", long(121)), (2, "Option1 Value")),
        ("Option1 Name,Option1 Value", format!("a,A,1,{},S", long(61)), (2, "Option1 Value")),
        ("Dimension Unit", format!("a,A,1,{}", long(21)), (2, "Dimension Unit")),
        ("Vendor", format!("{},A,1,", long(121)), (2, "Handle")),
        ("Vendor", "search,A,1,".into(), (2, "Handle")),
        ("Vendor", "suggestions,A,1,".into(), (2, "Handle")),
        ("Vendor", "0192f3a0-7c2e-7d31-9f5b-2f6f3c1d4e5a,A,1,".into(), (2, "Handle")),
    ] {
        let read = small(extra, &[&row, "z,Z,1,,"]);
        let errors = errors(&read);
        assert!(matches!(errors.as_slice(), [(r, c, _)] if (*r, *c) == at), "{extra}: {errors:?}");
        assert_eq!(read.iter().filter(|group| group.product.is_some()).count(), 1, "{extra}");
    }
    let variants: Vec<String> = (0..251).map(|n| format!("a,A,1,Size,S{n}")).collect();
    let variants: Vec<&str> = variants.iter().map(String::as_str).collect();
    let read = small("Option1 Name,Option1 Value", &variants);
    assert!(matches!(errors(&read).as_slice(), [(2, _, m)] if m.contains("at most 250")), "{:?}", errors(&read));
    let urls = "https://me:secret@a.example/x.jpg /media/../x.jpg /media/%2e%2E/x.jpg https://me@a.example/x.jpg";
    for url in urls.split(' ') {
        let read = small("Image Src", &[&format!("a,A,1,{url}")]);
        assert_eq!(warnings(&read).len(), 1, "{url}");
        assert!(only(read).images.is_empty(), "{url}");
    }
}

#[test]
fn agapes_own_columns_are_read() {
    let product = only(small(
        "Weave Origin,Care Instructions,Dispatch Time,Short Description,Featured,Limited,\
         Width,Length,Dimension Unit",
        &["k,Kente,1,Bonwire,Dry clean,3 days,Strip cloth,TRUE,no,1.2,5.5,yards"],
    ));
    assert_eq!(product.weave_origin.as_deref(), Some("Bonwire"));
    assert_eq!(product.care_instructions.as_deref(), Some("Dry clean"));
    assert_eq!(product.dispatch_time.as_deref(), Some("3 days"));
    assert_eq!(product.short_description.as_deref(), Some("Strip cloth"));
    assert_eq!(product.featured, Some(true));
    assert_eq!(product.limited, Some(false));
    let measures = product.measures.unwrap();
    assert_eq!((measures.width, measures.length, measures.unit.as_str()), (Some(1.2), Some(5.5), "yards"));
    let groups = small("Width,Featured", &["k,Kente,1,wide,perhaps"]);
    assert_eq!(warnings(&groups).len(), 2);
    assert!(groups.iter().all(|g| g.product.is_some()));
}

#[test]
fn default_title_means_no_options() {
    let product = only(small("Option1 Name,Option1 Value", &["a,A,5,Title,Default Title"]));
    assert!(product.variants.iter().all(|v| v.options.is_empty()));
}

#[test]
fn semicolons_tabs_bom_and_line_ends_do_not_matter() {
    for (separator, line_end) in [(";", "\n"), ("\t", "\r\n"), (",", "\r"), (";", "\r\n")] {
        let file = ["\u{FEFF}Handle,Title,Price", "a,A,5", "b,B,6"].join(line_end).replace(',', separator);
        let read = groups(&file);
        assert_eq!(read.len(), 2, "{file:?}");
        let rows: Vec<_> = read.iter().map(|g| g.row).collect();
        assert_eq!(rows, [2, 3], "{file:?}");
    }
    let product = only(groups("Handle;Title;Price\na;A;\"45,50\"\n"));
    assert_eq!(product.variants.first().unwrap().price_minor, 4550);
}

#[test]
fn rows_are_numbered_as_a_spreadsheet_numbers_them() {
    for line_end in ["\n", "\r\n"] {
        let file = "\nHandle,Title,Price,Body (HTML)\n\na,A,x,\"one\n\ntwo\"\n,,,\n\n\nb,B,x,\n\nc,C,x,"
            .replace('\n', line_end);
        let read = groups(&file);
        let rows: Vec<_> = errors(&read).iter().map(|e| e.0).collect();
        assert_eq!(rows, [4, 8, 10], "{file:?}");
    }
}

#[test]
fn line_breaks_in_cells_are_kept_and_rows_counted() {
    let file = "Handle,Title,Price,Body (HTML)\r\na,A,5,\"one\r\ntwo \"\"2\"\"\"\r\n";
    let mut reader = read(file.as_bytes(), 2).unwrap();
    let group = reader.next().unwrap().unwrap();
    assert_eq!(group.product.unwrap().description.as_deref(), Some("one\ntwo \"2\""));
    assert!(reader.next().is_none());
    assert_eq!(reader.rows(), 2);
}

#[test]
fn other_files_are_refused_with_advice() {
    assert!(refusal("").contains("empty"));
    assert!(refusal("\u{FEFF}\r\n\r\n").contains("empty"));
    assert!(refusal(FIRST).contains("no products"));
    assert!(refusal(format!("{FIRST},,,,\n\n")).contains("no products"));
    assert!(refusal(b"PK\x03\x04rest").contains("save it as “CSV UTF-8”"));
    assert!(refusal(b"\xD0\xCF\x11\xE0\xA1").contains("Excel"));
    assert!(refusal(b"\xFF\xFEH\0a\0").contains("UTF-16"));
    assert!(refusal("<!DOCTYPE html>").contains("web page"));
    assert!(refusal(b"Handle,T\xEFtle,Price\na,A,1\n").contains("UTF-8"));
    let stock =
        "Handle,Title,Option1 Name,Option1 Value,SKU,HS Code,COO,Location,Incoming,On hand (new)\na,A,,,,,,,,1\n";
    assert!(refusal(stock).contains("file of inventory"), "{}", refusal(stock));
    let missing = refusal("Name,Title\nx,y\n");
    assert!(missing.contains("lacks Handle (or URL handle), Variant Price"));
    assert!(missing.contains("It has: Name, Title."));
    let repeated = refusal("Handle,Title,Price,Variant Price\na,A,1,2\n");
    assert!(repeated.contains("“Price” and “Variant Price” mean the same"));
}

#[test]
fn a_broken_row_refuses_its_product_and_no_other() {
    let mut file = b"Handle,Title,Price\na,A,1\nb,B\nc,C,1,9\nd,D,1,,\n".to_vec();
    file.extend_from_slice(b"e,Caf\xE9,1\nf,F\0,1\ng,G,1\n");
    let read = groups(&file);
    let good: Vec<_> = read.iter().filter(|g| g.product.is_some()).map(|g| g.handle.as_str()).collect();
    assert_eq!(good, ["a", "d", "g"]);
    let errors = errors(&read);
    let rows: Vec<_> = errors.iter().map(|e| (e.0, e.1)).collect();
    assert_eq!(rows, [(3, ""), (4, ""), (6, "Title"), (7, "Title")]);
}

#[test]
fn scattered_rows_are_errors() {
    let read = small("Option1 Name,Option1 Value", &["a,A,1,Size,S", "b,B,1,,", "A,,1,,M"]);
    let errors = errors(&read);
    assert!(matches!(errors.first(), Some((4, "Handle", m)) if m.contains("from row 2 on")));
    assert_eq!(read.iter().filter(|g| g.product.is_some()).count(), 2);
}

#[test]
fn handles_must_make_an_address() {
    let read = small("", &[",A,1", "日本,B,1", "Kẹ́ntẹ Gold!,C,1", "d,D,1", ",,2"]);
    let rows: Vec<_> = errors(&read).iter().map(|e| (e.0, e.1)).collect();
    assert!(rows.contains(&(2, "Handle")));
    assert!(rows.contains(&(3, "Handle")));
    // A row without handle and title goes with the product before it.
    assert!(rows.contains(&(6, "Handle")));
    let good: Vec<_> = read.iter().filter(|g| g.product.is_some()).map(|g| g.handle.as_str()).collect();
    assert_eq!(good, ["kente-gold"]);
    assert_eq!(warnings(&read).len(), 1);
    let long = small("", &[&format!("{},A,1", "a".repeat(201))]);
    assert_eq!(errors(&long).len(), 1);
}

#[test]
fn prices_are_checked() {
    for (price, expected) in [("", "no price"), ("-5", "negative"), ("1.005", "3 decimals"), ("soon", "not an amount")]
    {
        let read = small("", &[&format!("a,A,{price}")]);
        let errors = errors(&read);
        assert!(matches!(errors.as_slice(), [(2, "Variant Price", m)] if m.contains(expected)), "{price}: {errors:?}");
        assert!(read.iter().all(|g| g.product.is_none()));
    }
    let marked = small("", &["a,A,\"₦45,000.00\"", "b,B,₦5"]);
    assert_eq!(warnings(&marked).len(), 1);
    let lower = small("Variant Compare At Price", &["a,A,10,9", "b,B,10,0"]);
    assert_eq!(warnings(&lower).len(), 1);
    assert_eq!(warnings(&small("", &["a,A,0"])).len(), 1);
}

#[test]
fn quantities_are_checked() {
    let header = "Variant Inventory Qty,Variant Inventory Tracker";
    let read = small(header, &["a,A,1,-3,shopify"]);
    assert_eq!(warnings(&read).len(), 1);
    assert_eq!(only(read).variants.first().unwrap().on_hand, Some(0));
    for bad in ["1.5", "few", "1000000001"] {
        let read = small(header, &[&format!("a,A,1,{bad},shopify")]);
        assert_eq!(errors(&read).len(), 1, "{bad}");
    }
    let uncounted = small(header, &["a,A,1,0,", "a,,1,0,"]);
    assert_eq!(warnings(&uncounted).len(), 1);
}

#[test]
fn ruined_barcodes_are_left_out() {
    let read = small("Variant Barcode", &["a,A,1,3.65275E+11"]);
    assert!(matches!(warnings(&read).as_slice(), [(2, "Variant Barcode", _)]));
    assert_eq!(only(read).variants.first().unwrap().barcode, None);
}

#[test]
fn options_must_fit_together() {
    let header = "Option1 Name,Option1 Value,Option2 Name,Option2 Value";
    for (rows, row, column) in [
        (["a,A,1,Size,S,,", "a,,1,,s,,"].as_slice(), 3, "Option1 Value"),
        (&["a,A,1,,S,,"], 2, "Option1 Name"),
        (&["a,A,1,Size,S,,", "a,,1,,,,"], 3, "Option1 Value"),
        (&["a,A,1,Size,S,size,M"], 2, "Option2 Name"),
        (&["a,A,1,,,,", "a,,2,,,,"], 2, "Option1 Value"),
    ] {
        let read = small(header, rows);
        let errors = errors(&read);
        assert!(matches!(errors.as_slice(), [(r, c, _), ..] if (*r, *c) == (row, column)), "{rows:?}: {errors:?}");
        assert!(read.iter().all(|group| group.product.is_none()));
    }
}

#[test]
fn an_article_number_stands_once_in_a_file() {
    let read = small("Variant SKU", &["a,A,1,X-1", "b,B,1,'X-1", "c,C,1,", "d,D,1,"]);
    assert!(matches!(errors(&read).as_slice(), [(3, "Variant SKU", m)] if m.contains("row 2")));
    assert_eq!(read.iter().filter(|g| g.product.is_some()).count(), 3);
}

#[test]
fn titles_and_tags_have_limits() {
    let long = "x".repeat(201);
    let many = (0..101).map(|n| format!("t{n}")).collect::<Vec<_>>();
    let read = small(
        "Tags",
        &["a,,1,", &format!("b,{long},1,"), &format!("c,C,1,\"{}\"", many.join(",")), "d,'=SUM(A1),1,'+plus"],
    );
    let rows: Vec<_> = errors(&read).iter().map(|e| (e.0, e.1)).collect();
    assert_eq!(rows, [(2, "Title"), (3, "Title"), (4, "Tags")]);
    assert!(matches!(warnings(&read).as_slice(), [(5, "Title", _)]));
    let product = read.into_iter().find_map(|g| g.product).unwrap();
    assert_eq!(product.title, "=SUM(A1)");
    assert_eq!(product.tags.unwrap(), ["+plus"]);
}

#[test]
fn pictures_with_bad_addresses_are_left_out() {
    let read = small(
        "Image Src,Variant Image",
        &["a,A,1,file:///etc/passwd,nowhere", "a,,,/media/demo/kente.png,", "a,,,/media/demo/kente.png,", "a,,,,"],
    );
    let rows: Vec<_> = warnings(&read).iter().map(|w| w.0).collect();
    assert_eq!(rows, [2, 2, 5]);
    assert_eq!(only(read).images.len(), 1);
}

#[test]
fn huge_cells_and_endless_rows_are_refused() {
    let read = small("Body (HTML)", &[&format!("a,A,1,{}", "x".repeat(1_100_000)), "b,B,1,"]);
    assert!(matches!(errors(&read).as_slice(), [(2, "Body (HTML)", _)]));
    assert_eq!(read.iter().filter(|g| g.product.is_some()).count(), 1);

    let open = format!("Handle,Title,Price\na,A,1\nb,\"B,1\n{}", "c,C,1\n".repeat(2_000_000));
    let mut reader = super::read(open.as_bytes(), 2).unwrap();
    // The rows of the first product may go on in what cannot be read.
    assert!(matches!(reader.next(), Some(Err(FileProblem::RowTooLarge { row: 3, .. }))));
    assert!(reader.next().is_none());
}

/// A quotation mark that is never closed is told with the row in which it opens, wherever it stands and however the file
/// ends. What stands before it is read.
#[test]
fn an_open_quote_is_told_by_its_row() {
    for (end, row) in [
        ("c,\"C,1,x\nd,D,1,y\n", 5),
        ("c,C,1,\"x\nd,D,1,y\n", 5),
        ("c,C,1,\"x\nd,D,1,y", 5),
        ("\n\nc,C,1,\"x\r\nd,D,1,y\r\n", 7),
        ("c,C,1,\"", 5),
        ("c,C,1,\"\n", 5),
        ("c,C,1,\"x\n\n\"\"\n", 5),
    ] {
        let file = format!("Handle,Title,Price,Body (HTML)\na,A,1,\"one\ntwo\"\nb,B,1,\nz,Z,1,\n{end}");
        let mut reader = read(file.as_bytes(), 2).unwrap();
        let mut good = Vec::new();
        let problem = loop {
            match reader.next().unwrap() {
                Ok(group) => good.push(group.handle),
                Err(problem) => break problem,
            }
        };
        // The rows of the product before it may go on in what cannot be read.
        assert_eq!(good, ["a", "b"], "{end:?}");
        assert!(matches!(problem, FileProblem::OpenQuote { row: found } if found == row), "{end:?}: {problem}");
        assert!(problem.to_string().contains(&format!("row {row} ")));
        assert!(reader.next().is_none());
    }
    for end in ["\"x\n\"", "\"x\n\"\n", "\"\"", "x\"y", "\"x\"\"\"\n"] {
        let read = groups(format!("Handle,Title,Price,Body (HTML)\na,A,1,{end}"));
        assert!(read[0].product.is_some(), "{end:?}: {:?}", read[0].problems);
    }
}

#[test]
fn a_product_of_endless_rows_is_refused() {
    let rows = vec!["a,A,1"; MAX_ROWS + 10];
    let read = small("", &rows);
    assert_eq!(read.len(), 1);
    assert!(read.iter().all(|g| g.product.is_none()));
}

#[test]
fn results_survive_storage_as_json() {
    let read = small("Variant SKU", &["a,A,x,1", "b,B,1,2"]);
    let json = serde_json::to_string(&read).unwrap();
    assert!(json.contains(r#""severity":"error""#));
    assert_eq!(serde_json::from_str::<Vec<ProductGroup>>(&json).unwrap(), read);
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        if let Ok(reader) = read(bytes.as_slice(), 2) {
            reader.for_each(drop);
        }
    }

    #[test]
    fn arbitrary_cells_never_panic_and_a_product_has_no_errors(
        cells in proptest::collection::vec("[a-z0-9 ',;\"\\n=₦.<&/>é-]{0,12}", 0..120),
    ) {
        let mut file = FIRST.as_bytes().to_vec();
        for row in cells.chunks(21) {
            file.extend_from_slice(row.join(",").as_bytes());
            file.push(b'\n');
        }
        if let Ok(reader) = read(file.as_slice(), 2) {
            for group in reader.flatten() {
                let refused = group.problems.iter().any(|p| p.severity == Severity::Error);
                prop_assert_eq!(group.product.is_some(), !refused);
            }
        }
    }

    #[test]
    fn row_numbers_hold_whatever_stands_between(
        gaps in proptest::collection::vec((0_usize..4, 0_usize..4), 1..30),
        crlf in any::<bool>(),
        ends in any::<bool>(),
    ) {
        let mut file = "Handle,Title,Price,Body (HTML)".to_owned();
        let mut expected = Vec::new();
        let mut row = 1;
        for (n, (empty, breaks)) in gaps.into_iter().enumerate() {
            row += 1 + empty as u64;
            expected.push(row);
            file.push_str(&"\n".repeat(empty + 1));
            file.push_str(&format!("p{n},P,1,\"x{}y\"", "\n".repeat(breaks)));
        }
        if ends {
            file.push('\n');
        }
        if crlf {
            file = file.replace('\n', "\r\n");
        }
        let found: Vec<_> = groups(&file).iter().map(|g| g.row).collect();
        prop_assert_eq!(found, expected);
    }
}
