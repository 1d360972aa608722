//! The columns of WooCommerce's product CSV.

use super::Format;
use super::table::Columns;

/// How many attributes a product may have.
pub(super) const MAX_ATTRIBUTES: usize = 40;

/// Every column that is read, with the headings it goes by.
macro_rules! fields {
    ($($name:ident: $($heading:literal)|+;)+) => {
        /// Attributes are numbered from 0.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum Field { $($name,)+ AttributeName(usize), AttributeValues(usize) }
        const FIELDS: &[(Field, &[&str])] = &[$((Field::$name, &[$($heading),+])),+];
    };
}

// WooCommerce writes headings in the language of its administration: English, German, French, Spanish, Italian,
// Portuguese and Dutch are read, each as `letters` leaves it. Cells are the same in all languages.
fields! {
    Id: "id";
    Type: "type" | "typ" | "tipo";
    Sku: "sku" | "artikelnummer" | "ugs" | "cod";
    Gtin: "gtinupceanorisbn" | "gtin" | "gtinupceanoderisbn" | "gtinupceanouisbn" | "gtinupceanoisbn" | "gtinupceanofisbn";
    Name: "name" | "nom" | "nombre" | "nome" | "naam";
    Published: "published" | "veröffentlicht" | "publié" | "publicado" | "pubblicato" | "gepubliceerd";
    Featured: "isfeatured" | "featured" | "isthervorgehoben" | "misenavant" | "estádestacado" | "inprimopiano"
        | "emdestaque" | "uitgelicht";
    Visibility: "visibilityincatalog" | "catalogvisibility" | "sichtbarkeitimkatalog" | "visibilitédanslecatalogue"
        | "visibilidadenelcatálogo" | "visibilitànelcatalogo" | "visibilidadenocatálogo" | "zichtbaarheidincatalogus";
    Short: "shortdescription" | "kurzbeschreibung" | "descriptioncourte" | "descripcióncorta" | "brevedescrizione"
        | "descriçãocurta" | "korteomschrijving" | "kortebeschrijving";
    Description: "description" | "beschreibung" | "descripción" | "descrizione" | "descrição" | "beschrijving";
    SaleFrom: "datesalepricestarts" | "datumandemangebotspreisbeginnt" | "datumandemderangebotspreisbeginnt"
        | "datededébutdepromo" | "díaenqueempiezaelpreciorebajado" | "datadipartenzadelprezzoinsaldo"
        | "datadepreçopromocionalcomeçaem" | "startdatumactieprijs";
    SaleTo: "datesalepriceends" | "datumandemangebotspreisendet" | "datumandemderangebotspreisendet"
        | "datedefindepromo" | "díaenqueterminaelpreciorebajado" | "terminedatadelprezzodivendita"
        | "dataincuiterminalofferta" | "datadepreçopromocionalterminaem" | "einddatumactieprijs";
    InStock: "instock" | "vorrätig" | "enstock" | "eninventaire" | "existencias" | "eninventario" | "emestoque"
        | "opvoorraad";
    Stock: "stock" | "lager" | "bestand" | "inventaire" | "inventario" | "magazzino" | "estoque" | "voorraad";
    Weight: "weight" | "gewicht" | "poids" | "peso";
    Length: "length" | "länge" | "longueur" | "longitud" | "lunghezza" | "comprimento" | "lengte";
    Width: "width" | "breite" | "largeur" | "anchura" | "larghezza" | "largura" | "breedte";
    SalePrice: "saleprice" | "angebotspreis" | "tarifpromo" | "preciorebajado" | "prezzoinofferta" | "preçopromocional"
        | "actieprijs";
    Price: "regularprice" | "price" | "regulärerpreis" | "tarifrégulier" | "precionormal" | "prezzodilistino" | "preço"
        | "reguliereprijs";
    Categories: "categories" | "kategorien" | "catégories" | "categorías" | "categorie" | "categorias" | "categorieën";
    Tags: "tags" | "schlagwörter" | "étiquettes" | "etiquetas" | "etichette" | "tag";
    Images: "images" | "bilder" | "imágenes" | "immagine" | "immagini" | "imagens" | "afbeeldingen";
    Parent: "parent" | "übergeordnetesprodukt" | "superior" | "genitore" | "ascendente" | "hoofd";
    Position: "position" | "posición" | "posizione" | "posição" | "positie";
    Brands: "brands" | "marken" | "marques" | "marcas" | "marchi" | "merken";
}

/// Names of the columns of an attribute, with `#` for its number.
const ATTRIBUTE_NAMES: [&str; 8] = [
    "attribute#name",
    "attribut#name",
    "nomdelattribut#",
    "nombredelatributo#",
    "attributo#nome",
    "nomedellattributo#",
    "nomedoatributo#",
    "naameigenschap#",
];
const ATTRIBUTE_VALUES: [&str; 9] = [
    "attribute#values",
    "attribute#value",
    "attribut#werte",
    "valeursdelattribut#",
    "valoresdelatributo#",
    "attributo#valutae",
    "valoredellattributo#",
    "valoresdoatributo#",
    "waardeeigenschap#",
];

/// Units that stand behind a weight or a length, the longer ones first.
const UNITS: [&str; 10] = ["lbs", "lb", "kg", "oz", "mm", "cm", "yd", "in", "g", "m"];

/// The attribute's column with this heading.
fn attribute(heading: &str) -> Option<Field> {
    let start = heading.find(|c: char| c.is_ascii_digit())?;
    let (before, rest) = heading.split_at_checked(start)?;
    let after = rest.trim_start_matches(|c: char| c.is_ascii_digit());
    let number: usize = rest.strip_suffix(after)?.parse().ok()?;
    let n = number.checked_sub(1).filter(|n| *n < MAX_ATTRIBUTES)?;
    let name = format!("{before}#{after}");
    if ATTRIBUTE_NAMES.contains(&name.as_str()) {
        Some(Field::AttributeName(n))
    } else {
        ATTRIBUTE_VALUES.contains(&name.as_str()).then_some(Field::AttributeValues(n))
    }
}

fn plain(heading: &str) -> Option<Field> {
    FIELDS.iter().find(|(_, names)| names.contains(&heading)).map(|(field, _)| *field)
}

impl Columns for Field {
    const COUNT: usize = FIELDS.len() + 2 * MAX_ATTRIBUTES;

    fn slot(self) -> usize {
        match self {
            Self::AttributeName(n) => FIELDS.len().saturating_add(n.saturating_mul(2)),
            Self::AttributeValues(n) => FIELDS.len().saturating_add(n.saturating_mul(2)).saturating_add(1),
            plain => FIELDS.iter().position(|(field, _)| *field == plain).unwrap_or(usize::MAX),
        }
    }

    fn of(heading: &str) -> Option<Self> {
        let measured = || {
            let bare = UNITS.iter().find_map(|unit| heading.strip_suffix(unit))?;
            plain(bare).filter(|field| matches!(field, Self::Weight | Self::Length | Self::Width))
        };
        plain(heading).or_else(measured).or_else(|| attribute(heading))
    }

    fn named(path: &str) -> Option<Self> {
        Some(match path {
            "slug" | "title" => Self::Name,
            "sku" | "variants.sku" => Self::Sku,
            "shortDescription" => Self::Short,
            "description" => Self::Description,
            "category" => Self::Categories,
            "vendor" => Self::Brands,
            "tags" => Self::Tags,
            "dimensions" => Self::Length,
            "images.url" | "variants.image" => Self::Images,
            "variants.options" => Self::AttributeValues(0),
            "variants.compareAtPrice" => Self::Price,
            "variants.barcode" => Self::Gtin,
            "variants.weight" => Self::Weight,
            "variants.inventory" => Self::Stock,
            _ => return None,
        })
    }

    const FORMAT: Format = Format::WooCommerce;

    fn missing(has: &dyn Fn(Self) -> bool) -> Vec<&'static str> {
        let needed = [(Self::Name, "Name"), (Self::Price, "Regular price")];
        needed.into_iter().filter(|(field, _)| !has(*field)).map(|(_, name)| name).collect()
    }

    fn advice(_: &[String]) -> &'static str {
        "The headings are read in English, German, French, Spanish, Italian, Portuguese and Dutch. If yours are in \
         another language, set the language of your WordPress profile to English and export the products again."
    }
}

#[cfg(test)]
mod tests {
    use super::super::table::letters;
    use super::*;

    /// No heading means two things, and each stands in the list as `letters` leaves it.
    #[test]
    fn a_heading_has_one_meaning() {
        let mut met = std::collections::HashMap::new();
        for (field, names) in FIELDS {
            for name in *names {
                assert_eq!(&letters(name), name);
                assert_eq!(met.insert(*name, *field), None, "{name}");
                assert_eq!(Field::of(name), Some(*field), "{name}");
            }
        }
    }

    #[test]
    fn headings_of_other_languages_are_known() {
        for (heading, field) in [
            ("Gewicht (kg)", Field::Weight),
            ("Longueur (cm)", Field::Length),
            ("Larghezza (mm)", Field::Width),
            ("¿Está destacado?", Field::Featured),
            ("GTIN, UPC, EAN oder ISBN", Field::Gtin),
            ("Datum, an dem Angebotspreis beginnt", Field::SaleFrom),
            ("Attribut 12 Wert(e)", Field::AttributeValues(11)),
            ("Valeur(s) de l’attribut 1", Field::AttributeValues(0)),
            ("Nom de l'attribut 2", Field::AttributeName(1)),
            ("Valor(es) del atributo 3", Field::AttributeValues(2)),
            ("Attributo 1 valuta(e)", Field::AttributeValues(0)),
            ("Nome do atributo 1", Field::AttributeName(0)),
            ("Waarde eigenschap 2", Field::AttributeValues(1)),
        ] {
            assert_eq!(Field::of(&letters(heading)), Some(field), "{heading}");
        }
        for heading in [
            "Attribute 1 visible",
            "Attribute 0 name",
            "Attribute 41 name",
            "Meta: _weight",
            "Höhe (cm)",
            "Attribut 1 Global",
        ] {
            assert_eq!(Field::of(&letters(heading)), None, "{heading}");
        }
    }
}
